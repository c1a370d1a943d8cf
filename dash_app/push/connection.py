"""One open page's WebSocket: what it follows, and the updates that it gets, one at a time.

Made by `route.py`. The next update is sent when the page has said that it shows the last one; what came in between is
left out, so that a slow page or a slow line costs neither memory nor the others' time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.websockets import WebSocket, WebSocketDisconnect

from dash_app.push.channel import Channel
from dash_app.push.feed import Feed
from dash_app.push.messages import Done, Follow, MessageError, Stop, message_of, update
from dash_app.push.pace import Pace
from dash_app.settings import DashSettings
from dash_app.shell.answering import Answering, Asked
from telemetry import Counters

MayConnect = Callable[[WebSocket], Awaitable[bool]]

REFUSED: Final = 1008
"""The code that a connection is closed with when it did, or is, what may not be."""
_TOO_BIG: Final = 1009


class Connection:
    """`run` returns when the page is gone or did what it may not."""

    def __init__(
        self,
        websocket: WebSocket,
        feed: Feed,
        answering: Answering,
        settings: DashSettings,
        counters: Counters,
        may_connect: MayConnect,
    ) -> None:
        self._websocket = websocket
        self._feed = feed
        self._answering = answering
        self._settings = settings
        self._counters = counters
        self._may_connect = may_connect
        self._checked_at_s = time.monotonic()
        self._pace = Pace(settings.max_questions_per_s)
        self._news = asyncio.Event()
        self._wake = self._news.set
        self._asked: Asked | None = None
        self._channel: Channel | None = None
        self._number = 0
        self._version = 0  # of the channel's picture that the page has
        self._shown = 0  # how many the channel had shown when the page was sent the last
        self._is_waiting = False  # for the page to say that it shows the last one

    async def run(self) -> None:
        """Feed the page until it goes."""
        sending = asyncio.create_task(self._send(), name="pages: updates to one page")
        reading = asyncio.create_task(self._read(), name="pages: questions of one page")
        try:
            await asyncio.wait({sending, reading}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, reading):
                task.cancel()
            found = await asyncio.gather(sending, reading, return_exceptions=True)
            await self._leave()
        for error in found:
            if isinstance(error, Exception) and not _is_gone(error):
                raise error

    async def _read(self) -> None:
        while True:
            received = await self._websocket.receive()
            if received["type"] == "websocket.disconnect":
                return
            text = received.get("text") or received.get("bytes") or b""
            if len(text) > self._settings.max_question_bytes:
                await self._websocket.close(_TOO_BIG)
                return
            try:
                await self._take(text)
            except MessageError as error:
                await self._websocket.close(REFUSED, str(error))
                return

    async def _take(self, text: str | bytes) -> None:
        message = message_of(text)
        if isinstance(message, Done):
            if not self._is_waiting:
                raise MessageError("nothing was sent")
            self._is_waiting = False
            self._news.set()
            return
        await asyncio.sleep(self._pace.take())
        if isinstance(message, Stop):
            await self._leave()
        else:
            await self._follow(message)

    async def _follow(self, message: Follow) -> None:
        asked = self._answering.asked(message.page, message.search, message.width_px)
        if asked is None:
            raise MessageError("there is no such page")
        channel_before = self._channel
        is_same = channel_before is not None and asked == self._asked
        # What is still on its way to the page belongs to its question of before, so that the page leaves it out.
        if not (is_same and message.keeps and not self._is_waiting):
            self._version = 0
        self._number, self._shown = message.number, 0
        if is_same:
            self._news.set()
            return
        # The new one first, so that a question that goes on in another form does not end in between.
        self._asked, self._channel = asked, self._feed.follow(asked, self._wake)
        if channel_before is not None:
            await self._feed.leave(channel_before, self._wake)

    async def _leave(self) -> None:
        channel, self._channel, self._asked = self._channel, None, None
        if channel is not None:
            await self._feed.leave(channel, self._wake)

    async def _send(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            channel = self._channel
            if channel is None or self._is_waiting or channel.shown <= self._shown:
                continue
            if not await self._is_still_allowed():
                await self._websocket.close(REFUSED, "not allowed any more")
                return
            if channel is not self._channel:
                continue  # another was asked for in the meantime, and has woken this
            message = update(self._number, channel.picture.message_since(self._version))
            if self._shown and channel.shown > self._shown + 1:
                self._counters.add("pages_skipped_updates", channel.shown - self._shown - 1)
            self._version, self._shown = channel.picture.version, channel.shown
            self._is_waiting = True
            await self._websocket.send_bytes(message)
            self._counters.add("pages_sent_updates")
            self._counters.add("pages_sent_bytes", len(message))

    async def _is_still_allowed(self) -> bool:
        """A page whose reader has signed out since must not be fed for as long as it stays open."""
        now_s = time.monotonic()
        if now_s - self._checked_at_s < self._settings.recheck_interval_s:
            return True
        self._checked_at_s = now_s
        return await self._may_connect(self._websocket)


def _is_gone(error: Exception) -> bool:
    """Tell whether the other end is gone, which is how every connection ends."""
    return isinstance(error, WebSocketDisconnect | OSError) or (
        isinstance(error, RuntimeError) and "close" in str(error)
    )
