"""One question that open pages ask, answered once a beat for all of them, for as long as somebody asks it.

Held by `feed.py`; whoever follows it is woken and takes what is new when they can, so that nothing waits for the slow.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from dash_app.push.picture import Picture
from telemetry import NowNs

Wake = Callable[[], None]
Produce = Callable[[], Awaitable[dict[str, Any]]]

_FRESH_S: Final = 2.0
"""Who begins to follow is shown what is there, and if it is older than this, something newer as soon as there is."""
_AFTER_THE_SECOND_S: Final = 0.02


class Channel:
    """`shown` counts what has been shown; `picture` is the latest of it. `produce` must not raise."""

    def __init__(self, name: str, produce: Produce, now_ns: NowNs) -> None:
        self.picture = Picture()
        self.shown = 0
        self._shown_at_s = 0.0
        self._produce = produce
        self._now_ns = now_ns
        self._followers: set[Wake] = set()
        self._is_hurried = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name=f"pages: {name}"[:80])

    @property
    def is_followed(self) -> bool:
        return bool(self._followers)

    def follow(self, wake: Wake) -> None:
        """Let `wake` be called whenever there is something new, and at once if there is something already."""
        self._followers.add(wake)
        if self.shown:
            wake()
            if time.monotonic() - self._shown_at_s > _FRESH_S:
                self._is_hurried.set()

    def leave(self, wake: Wake) -> None:
        self._followers.discard(wake)

    async def stop(self) -> None:
        """Return when nothing is asked any more."""
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _run(self) -> None:
        while True:
            self._is_hurried.clear()
            began_s = self._now_ns() / 1e9
            document = await self._produce()
            self.picture.take(document)
            self.shown += 1
            self._shown_at_s = time.monotonic()
            for wake in tuple(self._followers):
                wake()
            pause_s = pause_until_next_beat_s(began_s, self._now_ns() / 1e9, document["receipt"]["pace_s"])
            try:
                await asyncio.wait_for(self._is_hurried.wait(), pause_s)
            except TimeoutError:
                pass


def pause_until_next_beat_s(began_s: float, now_s: float, pace_s: float) -> float:
    """Return the time from `now_s` to the beat after the one in which an answer was begun; times are Unix seconds.

    Figures are complete up to whole seconds, so beats are a moment after multiples of the pace. A beat that was missed
    is made up for at once, and a clock that was put back delays no more than one.
    """
    next_s = (began_s // pace_s + 1) * pace_s + _AFTER_THE_SECOND_S
    return min(max(next_s - now_s, 0.0), pace_s + _AFTER_THE_SECOND_S)
