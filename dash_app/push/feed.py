"""All questions that open pages ask now, each with its channel: the one producer behind all pages of the process.

Between the connections of `connection.py` and the answers of the shell.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from dash_app.push.channel import Channel, Wake
from dash_app.shell.answering import Asked
from telemetry import NowNs


class Feed:
    """Equal questions have one channel; one that nobody follows any more ends."""

    def __init__(self, answer: Callable[[Asked], Awaitable[dict[str, Any]]], now_ns: NowNs) -> None:
        self._answer = answer
        self._now_ns = now_ns
        self._channels: dict[Asked, Channel] = {}

    @property
    def questions(self) -> int:
        """How many different questions are followed now."""
        return len(self._channels)

    def follow(self, asked: Asked, wake: Wake) -> Channel:
        """Return the channel of a question, which `wake` follows from now on."""
        channel = self._channels.get(asked)
        if channel is None:
            channel = Channel(f"{asked.page} {asked.view}", lambda: self._answer(asked), self._now_ns)
            self._channels[asked] = channel
        channel.follow(wake)
        return channel

    async def leave(self, channel: Channel, wake: Wake) -> None:
        """Follow it no more."""
        channel.leave(wake)
        if channel.is_followed:
            return
        self._channels = {asked: one for asked, one in self._channels.items() if one is not channel}
        await channel.stop()
