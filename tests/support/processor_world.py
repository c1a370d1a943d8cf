"""Two processors on one store, a queue that redelivers, and crashes between any two steps; with the truth beside it.

Everything is the product's own but the queue and the clock: intakes, history, live feed and upkeep. A processor that
crashes is abandoned where it stands; another takes its place on the same store, but only when something is delivered
to it, so that until then the rest of the world has to do without it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum, auto
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, event

from processor.component import build
from processor.intake import Intake
from processor.settings import ProcessorSettings
from storage.component import build_in_process_live_feed, build_upkeep
from storage.history import SqlHistory
from storage.ports import SeriesFilter, StorageUnavailableError
from storage.settings import StorageSettings
from storage.tiers import COARSE
from telemetry import Batch, Counters, ExponentialHistogram, PermanentError, RedPoint, SeriesKey, Signal
from tests.support.doubles import ManualClock
from tests.support.otlp import merged_request, resource, server_span
from tests.support.red_points import totals_of

SETTINGS = ProcessorSettings(commit_interval_s=0.001)
MAX_LATE_S = int(SETTINGS.max_late_s)
EVERYTHING = SeriesFilter()
NS_PER_S = 10**9
AHEAD = "ahead"
"""The service whose clock is fast: of its spans the live window knows only from the history (query/verification.py)."""


class Step(StrEnum):
    """Between which two steps of a commit something happens."""

    BEFORE_COMMIT = auto()
    IN_COMMIT = auto()
    AFTER_COMMIT = auto()
    AFTER_PUBLISH = auto()


class Crashed(BaseException):
    """The process is gone: no handler of its own may see this."""


class Call(NamedTuple):
    """One SERVER span."""

    service: str
    route: str
    is_error: bool
    end_s: int
    duration_ms: int

    @property
    def point(self) -> RedPoint:
        """What a history of this span alone would hold."""
        status_class = "5xx" if self.is_error else "2xx"
        series = SeriesKey(self.service, http_method="GET", http_route=self.route, http_status_class=status_class)
        return RedPoint(
            series, self.end_s, 1, int(self.is_error), ExponentialHistogram.of([self.duration_ms * 1_000_000])
        )


def batch_of(calls: Sequence[Call], number: int) -> Batch:
    """Return a batch of spans; another `number` gives it another id."""
    spans = [
        server_span(
            route=call.route,
            status_code=500 if call.is_error else 200,
            duration_ns=call.duration_ms * 1_000_000,
            end_ns=call.end_s * NS_PER_S,
            index=number * 1_000 + index,
        )
        for index, call in enumerate(calls)
    ]
    request = merged_request([(resource(call.service), [one]) for call, one in zip(calls, spans, strict=True)])
    return Batch.of(Signal.TRACES, request.SerializeToString(), item_count=len(spans), received_unix_nano=0)


def poison_of(number: int) -> Batch:
    """Return a batch that nobody can read."""
    return Batch.of(Signal.TRACES, b"\xff%d" % number, item_count=1, received_unix_nano=0)


@dataclass
class Fault:
    """What is to happen at which step of the next commit."""

    what: str = ""
    step: Step | None = None


class Processor:
    """An intake whose store and live feed let it crash, wait, or fail at a chosen step."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.fault = Fault()
        self.held = asyncio.Event()
        self.gate = asyncio.Event()
        self.delivery: asyncio.Task[None] | None = None
        self.decoded_s = 0
        self.intake: Intake = build(SETTINGS, _Store(self), _Feed(self), world.counters, world.clock)

    async def reach(self, step: Step) -> None:
        """Do what is to happen at this step."""
        fault = self.fault
        if fault.step is not step or not fault.what:
            return
        self.fault = Fault()
        if fault.what == "hold":
            self.held.set()
            await self.gate.wait()
            if self.fault.what == "crash":
                raise Crashed
        elif fault.what == "crash":
            raise Crashed
        else:
            raise StorageUnavailableError("the database is away")

    async def end(self, *, is_crash: bool) -> None:
        """Stop, or leave everything as it stands."""
        committer = self.intake._committer
        if is_crash and committer is not None:
            # What the task raised is the crash itself: it is meant, and must not be reported as never retrieved.
            committer.cancel()
            await asyncio.gather(committer, return_exceptions=True)
        await self.intake.stop()


class _Store:
    """The history as one processor reaches it; the rest of the port is not used by processors."""

    def __init__(self, processor: Processor) -> None:
        self._processor = processor
        self.resolution_s = processor.world.history.resolution_s

    async def commit(self, batch_ids: Sequence[bytes], *points: Any) -> None:
        processor, world = self._processor, self._processor.world
        decoded_s = processor.decoded_s
        await processor.reach(Step.BEFORE_COMMIT)
        with world.broken_commits(processor.fault):
            await world.history.commit(batch_ids, *points)
        for batch_id in batch_ids:
            world.counted_s.setdefault(batch_id, decoded_s)
        await processor.reach(Step.AFTER_COMMIT)


class _Feed:
    """The live feed as one processor reaches it."""

    def __init__(self, processor: Processor) -> None:
        self._processor = processor

    async def publish(self, points: Sequence[RedPoint]) -> None:
        await self._processor.world.live.publish(points)
        await self._processor.reach(Step.AFTER_PUBLISH)

    async def reset(self) -> None:
        await self._processor.world.live.reset()


@dataclass
class World:
    """The store, the processors, the queue, and what was sent."""

    history: SqlHistory
    clock: ManualClock
    counters: Counters = field(default_factory=Counters)
    queue: list[Batch] = field(default_factory=list)
    """What waits or was not acknowledged; a batch that was published twice is here twice."""
    calls: dict[bytes, Sequence[Call]] = field(default_factory=dict)
    counted_s: dict[bytes, int] = field(default_factory=dict)
    """When the batches that are committed were decoded: what was too late then is not in them."""
    dead: list[Batch] = field(default_factory=list)
    sent: int = 0

    async def start(self) -> None:
        self.live = build_in_process_live_feed(StorageSettings(), self.counters, now_ns=self.clock)
        self.upkeep = build_upkeep(StorageSettings(min_free_bytes=0), self.history, self.counters, now_ns=self.clock)
        await self.live.start()
        self.processors = [Processor(self), Processor(self)]

    async def stop(self) -> None:
        for which in range(len(self.processors)):
            await self.release(which)
            await self.processors[which].end(is_crash=False)
        await self.live.stop()

    def send(self, calls: Sequence[tuple[str, int, int, bool]], copies: int) -> None:
        """Publish a batch of (service, route, age in s, is an error) so many times."""
        made = [
            Call(service, f"/{route}", is_error, self.clock.now_s - age_s, 1 + route * 7 + age_s % 90)
            for service, route, age_s, is_error in calls
        ]
        self.sent += 1
        batch = batch_of(made, self.sent)
        self.calls[batch.batch_id] = made
        self.queue += [batch] * copies

    def send_poison(self) -> None:
        self.sent += 1
        self.queue.append(poison_of(self.sent))

    async def deliver(self, which: int, picks: Sequence[int], what: str = "", step: Step | None = None) -> None:
        """Hand some of the queue to a processor, to which this happens; "lost acks": nobody hears that it is done."""
        await self.release(which)
        processor = self.processors[which]
        picked = dict.fromkeys(pick % len(self.queue) for pick in picks if self.queue)
        if not picked:
            return
        await processor.intake.start()
        processor.fault = Fault("" if what == "lost acks" else what, step)
        processor.decoded_s = self.clock.now_s
        batches = [self.queue[place] for place in picked]
        processor.delivery = asyncio.create_task(self._consume(processor.intake, batches, has_acks=what != "lost acks"))
        held = asyncio.create_task(processor.held.wait())
        await asyncio.wait([processor.delivery, held], return_when=asyncio.FIRST_COMPLETED)
        held.cancel()
        if processor.delivery.done():
            await self._finish(which, is_crash=what == "crash")

    async def release(self, which: int, *, is_crash: bool = False) -> None:
        """Let a processor that is held go on, or crash where it is held."""
        processor = self.processors[which]
        if processor.held.is_set():
            processor.fault = Fault("crash" if is_crash else "")
            processor.gate.set()
            await self._finish(which, is_crash=is_crash)
            processor.held.clear()
            processor.gate.clear()

    async def restart(self, which: int) -> None:
        await self.release(which)
        await self._replace(which, is_crash=False)

    async def drain(self) -> None:
        """Deliver without faults until nothing is left."""
        for which in range(len(self.processors)):
            await self.release(which)
        for _ in range(3):
            await self.deliver(len(self.queue) % 2, range(len(self.queue)))
        assert not self.queue

    async def _consume(self, intake: Intake, batches: Sequence[Batch], *, has_acks: bool) -> None:
        outcomes = await asyncio.gather(*(intake.consume(batch) for batch in batches), return_exceptions=True)
        for batch, outcome in zip(batches, outcomes, strict=True):
            if isinstance(outcome, PermanentError):
                self.dead.append(batch)
            is_done = outcome is None or isinstance(outcome, PermanentError)
            if (
                has_acks and is_done and batch in self.queue
            ):  # the other processor may have had it too, and been quicker
                self.queue.remove(batch)

    async def _finish(self, which: int, *, is_crash: bool) -> None:
        processor = self.processors[which]
        assert processor.delivery is not None
        await processor.delivery
        processor.delivery = None
        processor.fault = Fault()
        if is_crash:
            await self._replace(which, is_crash=True)

    async def _replace(self, which: int, *, is_crash: bool) -> None:
        await self.processors[which].end(is_crash=is_crash)
        self.processors[which] = Processor(self)

    @contextmanager
    def broken_commits(self, fault: Fault) -> Iterator[None]:
        """Let the process go after the last statement, before COMMIT, if that is its fault."""
        if fault.step is not Step.IN_COMMIT or not fault.what:
            yield
            return

        def instead(connection: Connection) -> None:
            raise Crashed if fault.what == "crash" else OSError("the connection broke")

        event.listen(Engine, "commit", instead)
        try:
            yield
        finally:
            event.remove(Engine, "commit", instead)

    def reference(self) -> list[RedPoint]:
        """All that this file is about: each call of each batch that was committed, once, unless it was too late."""
        return [
            call.point
            for batch_id, decoded_s in self.counted_s.items()
            for call in self.calls[batch_id]
            if call.end_s >= decoded_s - MAX_LATE_S
        ]

    async def check(self) -> None:
        """Every tier holds the reference, and so does the live window as far as it claims to be complete."""
        truth = self.reference()
        assert self.counted_s.keys() == self.calls.keys()
        kept = await self.history.kept()
        gone_s = kept[COARSE].since_s
        for tier in kept:
            found = [*await self.history.read(0, 2**40, EVERYTHING, tier.width_s)]
            since_s = max(tier.since_s, gone_s)
            for from_s, to_s, width_s in ((since_s, 2**40, tier.width_s), (gone_s, since_s, kept[COARSE].width_s)):
                assert _totals(found, from_s, to_s, width_s) == _totals(truth, from_s, to_s, width_s), tier
        self._check_live(truth)
        received = self.counters.total("processor_received_items")
        outcomes = ("stored", "duplicate", "invalid", "late", "poison", "refused")
        assert received == sum(self.counters.total(f"processor_{one}_items") for one in outcomes)  # type: ignore[arg-type]

    def _check_live(self, truth: Sequence[RedPoint]) -> None:
        window, now_s = self.live.window, self.clock.now_s
        assert window.complete_since_s is not None
        since_s = max(window.complete_since_s, now_s - window.length_s)
        shown = [point for point in window.points(since_s, now_s + 1) if point.series.service_name != AHEAD]
        known = [point for point in truth if point.series.service_name != AHEAD]
        assert _totals(shown, since_s, now_s + 1, 1) == _totals(known, since_s, now_s + 1, 1)


def _totals(points: Sequence[RedPoint], from_s: int, to_s: int, width_s: int) -> Any:
    return totals_of((point for point in points if from_s <= point.start_s < to_s), width_s)
