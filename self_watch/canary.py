"""The canary: a span of its own, sent into the receiver every few seconds, timed until the query can see it.

A component of the dashboard, and of `modelwatch up`. What it measures is what an open page waits for: receiver, queue,
processor, commit, live feed and query; the page's own second comes on top. The span is in no figure, as its kind is
`SpanKind.CANARY`.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import structlog

from query import Query, SeriesFilter
from self_watch.canary_span import canary_request
from self_watch.settings import SelfWatchSettings
from telemetry import Counters, ModelWatchError, NowNs, SpanKind
from telemetry.conventions import CANARY_SERVICE_NAME
from telemetry.counters import GaugeName

log = structlog.get_logger(__name__)

Send = Callable[[bytes], Awaitable[None]]
"""Hands an OTLP request of traces to the receiver; raises `ModelWatchError` if it was not taken."""

_NS_PER_S: Final = 1_000_000_000
_LOOK_EVERY_S: Final = 0.1
_KEPT_S: Final = 300
_MOST_KEPT: Final = 2 * _KEPT_S + 2
"""One a second is the most that settings allow, and each may stand for some that were not sent."""
_CANARIES: Final = SeriesFilter(service_name=CANARY_SERVICE_NAME, span_kinds=frozenset({SpanKind.CANARY}))
_GROUP_BY: Final = ("service", "instance")
_GAUGES: Final[Sequence[GaugeName]] = ("canary_last_s", "canary_p50_s", "canary_p95_s")


class Canary:
    """Component. `instance` tells its spans from those of other dashboards."""

    def __init__(
        self,
        settings: SelfWatchSettings,
        query: Query,
        send: Send,
        instance: str,
        counters: Counters,
        now_ns: NowNs = time.time_ns,
    ) -> None:
        self._settings = settings
        self._query = query
        self._send = send
        self._instance = instance
        self._counters = counters
        self._now_ns = now_ns
        self._measured: deque[tuple[int, float]] = deque(maxlen=_MOST_KEPT)
        self._last_s = 0.0
        self._sent_ns: deque[int] = deque(maxlen=1_000)
        self._task: asyncio.Task[None] | None = None
        self._is_changed = asyncio.Event()
        self._under_way_ns: int | None = None
        self._is_observed = False
        for name in ("canary_sent_spans", "canary_seen_spans", "canary_lost_spans"):
            counters.declare(name)

    def use(self, settings: SelfWatchSettings) -> None:
        """Send as often as these settings say, or not at all, from now on."""
        self._settings = settings
        self._is_changed.set()
        if not settings.canary_is_enabled:
            self._forget()

    async def start(self) -> None:
        """Begin to send, unless it is turned off."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="canary")

    async def stop(self) -> None:
        """End at once."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def measure_once(self) -> float | None:
        """Send one span; return the seconds from its end until it was seen, `None` if that took too long."""
        self._under_way_ns = end_ns = self._now_ns()
        self._counters.add("canary_sent_spans")
        try:
            async with asyncio.timeout(self._settings.canary_timeout_s):
                await self._send(canary_request(self._instance, end_ns))
                self._sent_ns.append(end_ns)
                while not await self._is_seen(end_ns):  # noqa: ASYNC110 - the query has nothing to wait on
                    await asyncio.sleep(_LOOK_EVERY_S)
        except (TimeoutError, ModelWatchError) as error:
            log.debug("the canary was not seen", reason=str(error) or "no answer in time")
            self._counters.add("canary_lost_spans")
            # One that was refused at once never came at all, which is no better than one that took too long.
            self._keep(max((self._now_ns() - end_ns) / _NS_PER_S, self._settings.canary_timeout_s))
            return None
        finally:
            self._under_way_ns = None
        waited_s = (self._now_ns() - end_ns) / _NS_PER_S
        self._counters.add("canary_seen_spans")
        self._last_s = waited_s
        self._keep(waited_s)
        return waited_s

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began_s = loop.time()
            self._is_changed.clear()
            if self._settings.canary_is_enabled:
                try:
                    await self.measure_once()
                except Exception:
                    log.exception("the canary failed")
            await self._pause(began_s + self._settings.canary_interval_s - loop.time())

    async def _pause(self, pause_s: float) -> None:
        """Wait for the time of the next one; while it is turned off, for a change."""
        try:
            async with asyncio.timeout(max(pause_s, _LOOK_EVERY_S) if self._settings.canary_is_enabled else None):
                await self._is_changed.wait()
        except TimeoutError:
            pass

    async def _is_seen(self, end_ns: int) -> bool:
        """Tell whether the bucket of the span holds as many calls as were sent for it."""
        second = end_ns // _NS_PER_S
        answer = await self._query.red(second, second + 1, 1, _GROUP_BY, _CANARIES)
        due = sum(answer.start_s <= sent // _NS_PER_S < answer.end_s for sent in self._sent_ns)
        ours = (item for item in answer.items if item.labels["instance"] == self._instance)
        return sum(item.total.calls for item in ours) >= due > 0

    def _keep(self, waited_s: float) -> None:
        if not self._settings.canary_is_enabled:
            return  # it was turned off while one was under way
        self._measured += [(self._now_ns() // _NS_PER_S, one) for one in self._with_unsent(waited_s)]
        if not self._is_observed:
            # Before the first there is nothing to say, which is not 0.
            self._is_observed = True
            self._counters.observe("canary_last_s", lambda: max(self._last_s, self._waiting_s()))
            self._counters.observe("canary_p50_s", lambda: self._quantile(0.5))
            self._counters.observe("canary_p95_s", lambda: self._quantile(0.95))

    def _forget(self) -> None:
        """Say nothing any more: what was measured is not how it is."""
        self._measured.clear()
        self._is_observed = False
        for name in _GAUGES:
            self._counters.forget(name)

    def _with_unsent(self, waited_s: float) -> list[float]:
        """Return a wait, and those of the spans that were due meanwhile and not sent, as this one was waited for.

        Otherwise the slowest minute would have the fewest spans ("coordinated omission", G. Tene).
        """
        interval_s = self._settings.canary_interval_s
        return [waited_s - missed * interval_s for missed in range(int(waited_s // interval_s) + 1)]

    def _waiting_s(self) -> float:
        end_ns = self._under_way_ns
        return 0.0 if end_ns is None else (self._now_ns() - end_ns) / _NS_PER_S

    def _quantile(self, share: float) -> float:
        """By the nearest rank: one of the values that were measured, or of one that is under way for long."""
        since_s = self._now_ns() // _NS_PER_S - _KEPT_S
        values = [waited for at_s, waited in list(self._measured) if at_s >= since_s]
        if (waiting_s := self._waiting_s()) > max(values, default=0.0):
            values += self._with_unsent(waiting_s)
        values.sort()
        return values[max(-int(-share * len(values) // 1), 1) - 1] if values else 0.0
