"""Which source answers a question: the live window when it holds all that is asked about, otherwise the history.

A question has one source, since the two keep time in buckets of different width and would disagree at the seam. What
the live window holds is its own word, checked against the history by `query/verification.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from query.settings import QuerySettings
from query.sources import HistorySource, LiveSource, Source
from query.verification import LiveVerification
from storage.live_window import LiveWindow
from storage.ports import History, KeptTier, LiveFeed
from telemetry import NowNs

_NS_PER_S: Final = 1_000_000_000
_KEPT_FOR_S: Final = 10.0
"""How long it is remembered which buckets the history keeps; they go minutes at a time."""


class SourceChoice:
    """Chooses, and remembers what it found out about where the history begins."""

    def __init__(self, settings: QuerySettings, history: History, live: LiveFeed, now_ns: NowNs) -> None:
        self._history = history
        self._live = live
        self._now_ns = now_ns
        self._oldest_for_s = settings.history_cache_s
        self._oldest: tuple[float, int | None] = (-math.inf, None)
        self._settings = settings
        self._kept: tuple[float, Sequence[KeptTier]] = (-math.inf, ())
        self._verification = LiveVerification(history, live, settings.verify_after_s, now_ns)
        self._begun_in: tuple[LiveWindow, int] | None = None

    async def source_for(self, start_s: int) -> Source:
        """Return the source for a question about `start_s` and later.

        The live window also answers for times before it was complete when the history held nothing then: whoever has
        just started ModelWatch sees seconds, not tens of seconds. The caller must read the live source before it
        awaits anything else. Raises `StorageUnavailableError` when the history is needed and does not answer.
        """
        await self._verification.catch_up()
        now_s = self._now_ns() // _NS_PER_S
        since_s, window = self._verification.since_s, self._live.window
        if since_s is None:
            return await self._history_source(start_s)
        if start_s >= since_s and window.covers(start_s, now_s):
            return LiveSource(window)
        oldest_s = await self._oldest_s()
        since_s, window = self._verification.since_s, self._live.window
        needed_s = math.inf if oldest_s is None else max(start_s, oldest_s)
        if since_s is None or needed_s < now_s - window.length_s:
            return await self._history_source(start_s)
        if needed_s >= since_s or await self._began_with_history(window, since_s, oldest_s):
            return LiveSource(window)
        return await self._history_source(start_s)

    async def _history_source(self, start_s: int) -> HistorySource:
        now = self._now_ns() / _NS_PER_S
        until, kept = self._kept
        if not until - _KEPT_FOR_S <= now < until:
            kept = await self._history.kept()
            self._kept = (now + _KEPT_FOR_S, kept)
        return HistorySource(self._history, kept, start_s, self._settings, self._now_ns)

    async def _began_with_history(self, window: LiveWindow, since_s: int, oldest_s: int | None) -> bool:
        """Tell whether the window, complete within the history's first bucket, has all of that bucket.

        The live feed only ever holds what the history has committed, so equal counts mean equal points.
        """
        if self._begun_in == (window, since_s):
            return True
        width_s = self._history.resolution_s
        if oldest_s is None or oldest_s + width_s <= since_s:
            return False
        first = await self._history.call_totals(oldest_s, oldest_s + width_s)
        if window is not self._live.window or since_s != self._verification.since_s:
            return False
        if first.get(oldest_s) != window.call_total(oldest_s, oldest_s + width_s):
            return False
        self._begun_in = (window, since_s)
        return True

    async def _oldest_s(self) -> int | None:
        now = self._now_ns() / _NS_PER_S
        until, oldest_s = self._oldest
        if not until - self._oldest_for_s <= now < until:
            oldest_s = await self._history.oldest_s()
            self._oldest = (now + self._oldest_for_s, oldest_s)
        return oldest_s
