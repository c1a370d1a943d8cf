"""Whether the live window keeps its promise: it says since when it is complete, and the history knows.

Asked by `query/choice.py` before the window answers. The window cannot know of what nobody told it: another process
that commits to the same database without sharing the live feed, or spans dated ahead that were committed before the
feed last began. The history has them all. So each bucket of the history is compared with the window once, when it has
settled: the calls of both, and the errors. That takes one small read per bucket, made when a question comes.

- A bucket that differs moves the beginning of the window's answers behind it.
- A second one, before a minute's worth of buckets has agreed, leaves all answers to the history until then.
- A history that cannot be asked changes nothing: the window answers as it did, and is compared later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

import structlog

from query.blocks import floor_to
from storage.live_window import CallTotal, LiveWindow
from storage.ports import History, LiveFeed
from telemetry import NowNs

log = structlog.get_logger(__name__)

_NS_PER_S: Final = 1_000_000_000
_SECOND_LOOK_S: Final = 0.5
"""A commit reaches the window a moment after the history: 0.2 s at most over Redis, or the feed resets itself."""
_PATIENCE_S: Final = 1.5
"""The longest that questions wait for a comparison; a slow history must not make the live view slow."""
_PROOF_S: Final = 60
_ADVICE: Final = (
    "set MODELWATCH_LIVE_URL for every process that shares this database; "
    "after a restart, spans dated ahead do the same, and it passes"
)


class LiveVerification:
    """Since when the live window may answer, by its own word and by what it was found to hold."""

    def __init__(self, history: History, live: LiveFeed, verify_after_s: int, now_ns: NowNs) -> None:
        self._history = history
        self._live = live
        self._verify_after_s = verify_after_s
        self._now_ns = now_ns
        self._claimed_since_s = 0
        self._compared_to_s = 0
        self._tried_to_s = 0
        self._sound_since_s = 0
        self._to_prove = 0
        self._is_distrusted = False
        self._comparison: asyncio.Task[None] | None = None
        self._patient_until = 0.0

    @property
    def since_s(self) -> int | None:
        """The Unix second from which on the window is complete for all that is known; `None` when it may not answer."""
        since_s = self._live.window.complete_since_s
        return None if since_s is None or self._is_distrusted else max(since_s, self._sound_since_s)

    async def catch_up(self) -> None:
        """Compare the buckets that have settled since the last time. Never raises; returns within 1.5 s."""
        since_s = self._live.window.complete_since_s
        if since_s is None:
            return
        if self._comparison is None or self._comparison.done():
            self._begin(self._live.window, since_s)
        if self._comparison is not None:
            # Not cancelled when it takes longer: the history ends what does not answer, and wakes its thread.
            left_s = self._patient_until - asyncio.get_running_loop().time()
            await asyncio.wait({self._comparison}, timeout=max(left_s, 0.0))

    def _begin(self, window: LiveWindow, since_s: int) -> None:
        self._comparison = None
        width_s, now_s = self._history.resolution_s, self._now_ns() // _NS_PER_S
        settled_s = floor_to(now_s - self._verify_after_s, width_s)
        if since_s < self._claimed_since_s or settled_s < self._compared_to_s:
            # The window speaks of times that it did not before, or the clock was put back.
            self._compared_to_s = self._tried_to_s = 0
            self._sound_since_s = min(self._sound_since_s, settled_s)
        self._claimed_since_s = since_s
        from_s = max(self._compared_to_s, floor_to(max(since_s, now_s - window.length_s), width_s))
        if from_s < settled_s != self._tried_to_s:
            self._tried_to_s = settled_s
            self._patient_until = asyncio.get_running_loop().time() + _PATIENCE_S
            self._comparison = asyncio.create_task(self._compare(window, range(from_s, settled_s, width_s)))

    async def _compare(self, window: LiveWindow, buckets: range) -> None:
        before = _totals_in(window, buckets)
        try:
            kept = await self._history.call_totals(buckets.start, buckets.stop)
        except Exception as error:  # of whatever kind: the window can answer without
            log.debug("live view not compared with the history", reason=str(error))
            return
        held = _totals_in(window, buckets)
        if not all(_agree(before[bucket_s], kept.get(bucket_s), held[bucket_s]) for bucket_s in buckets):
            await asyncio.sleep(_SECOND_LOOK_S)
            held = _totals_in(window, buckets)
        since_s = window.complete_since_s
        if since_s is None:
            return
        for bucket_s in buckets:
            if _agree(before[bucket_s], kept.get(bucket_s), held[bucket_s]):
                self._note_agreement(held[bucket_s])
            else:
                self._note_difference(bucket_s, since_s, kept, held)
        self._compared_to_s = buckets.stop

    def _note_agreement(self, total: CallTotal) -> None:
        if self._to_prove and total.calls:
            self._to_prove -= 1
            if not self._to_prove:
                self._is_distrusted = False
                log.info("the live view agrees with the history again")

    def _note_difference(
        self, bucket_s: int, since_s: int, kept: Mapping[int, CallTotal], held: Mapping[int, CallTotal]
    ) -> None:
        width_s = self._history.resolution_s
        self._sound_since_s = max(self._sound_since_s, bucket_s + width_s)
        if bucket_s < since_s:
            return  # the window never claimed all of it, and which part it lacks cannot be told
        if self._to_prove:
            self._is_distrusted = True
        else:
            known = kept.get(bucket_s, CallTotal(0, 0))
            log.warning(
                "the live view and the history differ, so the history answers",
                advice=_ADVICE,
                bucket_s=bucket_s,
                live_calls=held[bucket_s].calls,
                history_calls=known.calls,
            )
        self._to_prove = max(1, _PROOF_S // width_s)


def _totals_in(window: LiveWindow, buckets: range) -> dict[int, CallTotal]:
    return {bucket_s: window.call_total(bucket_s, bucket_s + buckets.step) for bucket_s in buckets}


def _agree(before: CallTotal, kept: CallTotal | None, after: CallTotal) -> bool:
    """Tell whether the window, looked at before and after the history, was the same at the moment between.

    It holds nothing that the history lacks, and calls keep coming late, so it may only have grown past the history.
    """
    calls, errors = kept or (0, 0)
    return before.calls <= calls <= after.calls and before.errors <= errors <= after.errors
