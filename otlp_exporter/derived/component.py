"""Exports the derived metrics of one target: reads, compares, keeps what it told, and hands a request to the queue.

Of all processes that run it for a target, one does under a lease (ADR 009). What it told and the request are written in
one transaction before the request goes to the queue: a crash in between sends the same request again, and never loses
or repeats a count otherwise.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import structlog
from google.protobuf.message import DecodeError

from otlp_exporter.derived.course import HOUR_S, Course, Hours, advanced, begun, hours_to_read
from otlp_exporter.derived.request import FIELDS, OpenAlert, alert_key, request_of
from otlp_exporter.derived.settings import DerivedSettings
from otlp_exporter.derived.splitting import parts_of
from otlp_exporter.derived.tally import Tally
from otlp_exporter.service_filter import ServiceFilter
from otlp_exporter.target_settings import TargetSettings
from query import Query, WindowTotals
from storage.export_ledger import ExportLedger, Ledger, LedgerLostError
from storage.lease_keeper import LeaseKeeper, holder_name
from telemetry import Batch, Counters, ModelWatchError, NowNs, PermanentError, Signal
from telemetry.item_count import item_count_of

HandOver = Callable[[Batch], Awaitable[None]]
"""Returns when the batch is safe in the queue of the target."""
ReadAlerts = Callable[[], Awaitable[Sequence[OpenAlert]]]
LEASE_S: Final = 15.0
_TICK_S: Final = 3.0
_STOP_TIMEOUT_S: Final = 3.0
_ALL_GROUPS: Final = sys.maxsize
"""Which of them are told is decided once for each, in `course.py`, and never by their size of the moment."""
_SERVICE: Final = FIELDS.index("service")
_NS_PER_S: Final = 1_000_000_000

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class DerivedSources:
    """What derived metrics are read from: the history alone, as live figures come and go."""

    query: Query
    alerts: ReadAlerts
    ledger_of: Callable[[str], ExportLedger]


class DerivedExporter:
    """A component."""

    def __init__(
        self,
        target: TargetSettings,
        settings: DerivedSettings,
        sources: DerivedSources,
        hand_over: HandOver,
        counters: Counters,
        now_ns: NowNs = time.time_ns,
        *,
        lease_s: float = LEASE_S,
        tick_s: float = _TICK_S,
    ) -> None:
        self._target = target
        self._settings = settings
        self._services = ServiceFilter(target.services, target.excluded_services)
        self._sources = sources
        self._ledger = sources.ledger_of(target.name)
        self._keeper = LeaseKeeper(
            lease_s, self._ledger, holder_name(), duty=f"exports the derived metrics of {target.name}"
        )
        self._hand_over = hand_over
        self._counters = counters
        self._now_ns = now_ns
        self._tick_s = tick_s
        self._course: Course | None = None
        self._pending = b""
        self._due_s = 0.0
        self._trouble = ""
        self._ending = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        counters.declare("forward_derived_rounds", target=(target.name,))
        counters.declare("forward_derived_failures", target=(target.name,))

    async def start(self) -> None:
        """Begin to try for the lease."""
        if self._task is None:
            self._ending.clear()
            self._task = asyncio.create_task(self._run(), name=f"export derived metrics to {self._target.name}")

    async def stop(self) -> None:
        """End, and let another process go on at once."""
        task, self._task = self._task, None
        if task is None:
            return
        # A turn that is under way ends: what was handed over shall be noted, or the next one hands it over again.
        self._ending.set()
        await asyncio.wait({task}, timeout=_STOP_TIMEOUT_S)
        task.cancel()
        await asyncio.wait({task})
        try:
            async with asyncio.timeout(_STOP_TIMEOUT_S):
                await self._keeper.release()
        except (ModelWatchError, TimeoutError):
            pass  # another process takes over when the lease has stood still
        self._course = None

    async def _run(self) -> None:
        while not self._ending.is_set():
            try:
                await self._turn()
                if self._trouble:
                    _log.info("derived metrics are exported again", target=self._target.name)
                self._trouble = ""
            except LedgerLostError:
                self._keeper.lose()
                self._course = None
            except Exception as error:
                self._note(error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), self._tick_s)

    async def _turn(self) -> None:
        if self._keeper.fence is None:
            if not await self._keeper.try_to_take():
                return
            self._course = None
        holder, fence = self._keeper.holder, self._keeper.fence
        assert fence is not None
        if self._course is None:
            kept = await self._ledger.read()
            self._course = Course.from_bytes(kept.state) if kept.state else begun(self._now_s())
            self._pending = kept.pending
            self._due_s = 0.0
        if self._pending:
            await self._send(fence)
        elif self._now_s() >= self._due_s:
            await self._round(self._course, fence)
        else:
            await self._ledger.renew(holder, fence)
        self._keeper.renewed()

    async def _round(self, before: Course, fence: int) -> None:
        now_s = self._now_s()
        hours = await self._read(before, now_s)
        alerts = await self._sources.alerts() if "alerts" in self._settings.metrics else ()
        course, body, state = await asyncio.to_thread(_made, self._settings, before, hours, alerts, now_s)
        await self._ledger.commit(self._keeper.holder, fence, Ledger(state, body))
        self._course, self._pending = course, body
        # On the clock's own multiples, so that who takes over keeps the rhythm.
        self._due_s = now_s - now_s % self._settings.interval_s + self._settings.interval_s
        if body:
            await self._send(fence)
        self._counters.add("forward_derived_rounds", target=self._target.name)

    async def _read(self, course: Course, now_s: int) -> Hours:
        return {hour_s: await self._hour(hour_s, now_s) for hour_s in hours_to_read(course, now_s)}

    async def _hour(self, hour_s: int, now_s: int) -> dict[tuple[str, ...], Tally]:
        end_s = min(hour_s + HOUR_S, now_s + 1)
        totals = await self._sources.query.totals(end_s - hour_s, FIELDS, end_s, max_groups=_ALL_GROUPS)
        return await asyncio.to_thread(_tallies, totals, self._services)

    async def _send(self, fence: int) -> None:
        # All of it again, if the process ends in between: the queue knows the parts that it has by their content.
        for part in await asyncio.to_thread(_parts, self._pending):
            batch = Batch.of(Signal.METRICS, part, item_count=_count(part), received_unix_nano=self._now_ns())
            try:
                await self._hand_over(batch)
            except PermanentError as error:
                self._note(error)  # it would be the same for ever, and all that follows would wait behind it
        self._pending = b""
        await self._ledger.sent(self._keeper.holder, fence)

    def _note(self, error: Exception) -> None:
        self._counters.add("forward_derived_failures", target=self._target.name)
        trouble = str(error) if isinstance(error, ModelWatchError) else type(error).__name__
        if trouble == self._trouble:
            return
        self._trouble = trouble
        if isinstance(error, ModelWatchError):
            _log.warning("cannot export derived metrics now", target=self._target.name, reason=trouble)
        else:
            _log.exception("cannot export derived metrics now", target=self._target.name)

    def _now_s(self) -> int:
        return self._now_ns() // _NS_PER_S


def _tallies(totals: WindowTotals, services: ServiceFilter) -> dict[tuple[str, ...], Tally]:
    wanted = [key for key in totals.groups() if services.keeps(key[_SERVICE])]
    return {key: Tally.of(totals.durations(key), total.errors) for key, total in totals.select(FIELDS, wanted)}


def _parts(body: bytes) -> list[bytes]:
    try:
        return list(parts_of(body))
    except DecodeError:
        return [body]  # as another version wrote it


def _count(body: bytes) -> int:
    try:
        return item_count_of(Signal.METRICS, body)
    except PermanentError:
        return 0  # as another version wrote it


def _made(
    settings: DerivedSettings, before: Course, hours: Hours, alerts: Sequence[OpenAlert], now_s: int
) -> tuple[Course, bytes, bytes]:
    after, news = advanced(before, hours, now_s, settings.max_groups)
    after = replace(after, alerts=frozenset(map(alert_key, alerts)))
    body, points = request_of(settings, before, after, news, alerts)
    return after, body if points else b"", after.to_bytes()
