"""Spans out of order, late, from clocks that are wrong, and clocks of our own that jump: the figures are the same."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from processor.component import build
from processor.intake import Intake
from processor.settings import ProcessorSettings
from storage.component import build_in_process_live_feed, build_postgres_history, build_sqlite_history, build_upkeep
from storage.history import SqlHistory
from storage.partitions import partitions_of
from storage.ports import SeriesFilter
from storage.settings import StorageSettings
from storage.upkeep import Upkeep
from telemetry import Batch, Counters, Signal
from tests.support.doubles import ManualClock
from tests.support.otlp import merged_request, resource, server_span, span, trace_request
from tests.support.plain_red import plain_red_points
from tests.support.red_points import totals_of

START_S = 1_760_000_400 // 3_600 * 3_600
NS_PER_S = 10**9
HOUR_S, DAY_S = 3_600, 86_400
SETTINGS = ProcessorSettings(commit_interval_s=0.001)
CLIENT, SERVER_ERROR = 3, 500
FOREVER_S = 2**40


class Bench:
    """Two processors on one history, with upkeep, all by one clock."""

    def __init__(self, history: SqlHistory, clock: ManualClock) -> None:
        self.history, self.clock, self.counters = history, clock, Counters()
        storage = StorageSettings(min_free_bytes=0)
        self.live = build_in_process_live_feed(storage, self.counters, now_ns=clock)
        self.upkeep: Upkeep = build_upkeep(storage, history, self.counters, now_ns=clock)
        made = (history, self.live, self.counters, clock)
        self.intakes: Sequence[Intake] = [build(SETTINGS, *made), build(SETTINGS, *made)]

    async def take(self, bodies: Sequence[bytes], items: int) -> None:
        """Hand each request to one of the processors in turn, many at once."""
        batches = [Batch.of(Signal.TRACES, body, item_count=items, received_unix_nano=0) for body in bodies]
        await asyncio.gather(*(self.intakes[index % 2].consume(batch) for index, batch in enumerate(batches)))

    async def roll_up_after(self, pause_s: int) -> None:
        """Let this time pass and roll up everything; what that makes due, after a grace."""
        self.clock.advance(pause_s)
        for _ in range(2):
            await self.upkeep.roll_up()
            self.clock.advance(60)

    async def rows(self, width_s: int) -> dict[Any, Any]:
        """Return everything that is kept in buckets of this width, to the last bit of the histograms."""
        return {
            (point.series, point.start_s): (point.calls, point.errors, point.durations.to_bytes())
            for point in await self.history.read(0, FOREVER_S, SeriesFilter(), width_s)
        }

    async def partition_counts(self) -> list[int]:
        """Return how many partitions each tier has; none on SQLite."""
        tiers = self.history.tiers if self.history.database.dialect.is_partitioned else ()

        def count(connection: Connection) -> list[int]:
            return [len(partitions_of(connection, tier.table.name)) for tier in tiers]

        return await self.history.database.read(count)

    def counted(self, *outcomes: str) -> list[int]:
        return [self.counters.total(f"processor_{outcome}_items") for outcome in outcomes]  # type: ignore[arg-type]


@pytest.fixture(params=["sqlite", "postgres"])
def new_bench(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Run benches, each on a new database of each kind in turn."""
    postgres = request.getfixturevalue("postgres") if request.param == "postgres" else None
    count = 0

    @asynccontextmanager
    async def running() -> AsyncIterator[Bench]:
        nonlocal count
        count += 1
        clock = ManualClock(START_S)
        if postgres is None:
            history = build_sqlite_history(StorageSettings(), f"sqlite:///{tmp_path}/{count}.db", now_ns=clock)
        else:
            history = build_postgres_history(StorageSettings(), postgres.fresh_database(), now_ns=clock)
        bench = Bench(history, clock)
        components = [history, bench.live, *bench.intakes]
        for component in components:
            await component.start()
        try:
            yield bench
        finally:
            for component in reversed(components):
                await component.stop()

    return running


def trace(number: int, dice: random.Random) -> list[bytes]:
    """Return one request for each span of a trace: of a gateway, what it asks of the model API, and that itself."""
    trace_id, ids = number.to_bytes(16, "big"), [bytes([place]) + number.to_bytes(7, "big") for place in (1, 2, 3)]
    end_ns = START_S * NS_PER_S - dice.randrange(300 * NS_PER_S)
    status_code = dice.choice([200, 200, 404, SERVER_ERROR])
    common = {"trace_id": trace_id, "status_code": status_code}
    gateway = server_span(route="/buy", end_ns=end_ns, span_id=ids[0], duration_ns=dice.randrange(NS_PER_S), **common)
    asked = span(
        "POST",
        kind=CLIENT,  # type: ignore[arg-type]
        end_ns=end_ns - 10**6,
        trace_id=trace_id,
        span_id=ids[1],
        parent_span_id=ids[0],
        attributes={"http.request.method": "POST", "http.response.status_code": status_code},
    )
    model = server_span(
        route="/predict", end_ns=end_ns - 2 * 10**6, span_id=ids[2], parent_span_id=ids[1], duration_ns=10**7, **common
    )
    return [
        trace_request([one], resource(service)).SerializeToString()
        for one, service in ((gateway, "gateway"), (asked, "gateway"), (model, "fraud"))
    ]


async def test_order_and_delay_make_no_difference(new_bench: Any, chance: random.Random) -> None:
    """F20: shuffled, children before parents, half of it late by an hour, beside roll-ups: the same to the bit."""
    requests = [body for number in range(120) for body in trace(number, chance)]
    answers = []
    async with new_bench() as bench:
        await bench.take(requests, 1)
        await bench.roll_up_after(2 * HOUR_S)
        answers.append([await bench.rows(width_s) for width_s in (10, 60, 3_600)])
    chance.shuffle(requests)
    half = len(requests) // 2
    async with new_bench() as bench:
        await bench.take(requests[:half], 1)
        await bench.upkeep.roll_up()
        await bench.roll_up_after(HOUR_S)
        await bench.take([*reversed(requests[half:]), *requests[:half:3]], 1)
        await bench.roll_up_after(HOUR_S)
        answers.append([await bench.rows(width_s) for width_s in (10, 60, 3_600)])
        points = [*await bench.history.read(0, FOREVER_S, SeriesFilter())]
    assert answers[0] == answers[1]
    expected = plain_red_points(requests, latest_end_ns=2**62)
    assert totals_of(points) == totals_of(expected, 10)
    assert len({point.series.span_kind for point in points}) == 2


LATE_S, AHEAD_S = int(SETTINGS.max_late_s), int(SETTINGS.max_future_s)
COUNTED = [
    (-1, 0),
    (5, 0),
    (HOUR_S, 0),
    (-DAY_S, 0),
    (-8_000 * DAY_S, 0),
    (AHEAD_S - 1, AHEAD_S),
    (-LATE_S - 1, -LATE_S),
]
LATE = [(-LATE_S - 2, -LATE_S - 1), (-400 * DAY_S, -399 * DAY_S)]
NOW = START_S
IMPOSSIBLE_NS = [
    (0, 0),
    (1, 2),
    (0, NOW * NS_PER_S),
    (NOW * NS_PER_S, 0),
    (NOW * NS_PER_S, (NOW + AHEAD_S + 1) * NS_PER_S),
    (NOW * NS_PER_S, 2**63 - 1),
    (NOW * NS_PER_S, 2**63),
    (2**64 - 1, 2**64 - 1),
    (NOW * NS_PER_S, 2**64 - 1),
    (2**64 - 1, 0),
    (NOW, NOW),
]
"""Clocks that were never set, that run ahead, and seconds where nanoseconds belong."""


async def test_absurd_times_are_set_aside_or_clamped_and_nothing_explodes(new_bench: Any) -> None:
    """F21: each span is a call, late or invalid, and counted so; no duration is negative, no partition is added."""
    times_ns = [((NOW + start_s) * NS_PER_S, (NOW + end_s) * NS_PER_S) for start_s, end_s in COUNTED + LATE]
    spans = []
    for start_ns, end_ns in [*times_ns, *IMPOSSIBLE_NS]:
        one = server_span()
        one.start_time_unix_nano, one.end_time_unix_nano = start_ns, end_ns
        spans.append(one)
    body = merged_request([(resource("shop"), spans)]).SerializeToString()
    async with new_bench() as bench:
        await bench.upkeep.delete_expired()
        before = await bench.partition_counts()
        await bench.take([body], len(spans))
        await bench.upkeep.roll_up()
        await bench.upkeep.delete_expired()
        assert await bench.partition_counts() == before
        expected = [len(COUNTED), len(LATE), len(IMPOSSIBLE_NS)]
        assert bench.counted("stored", "late", "invalid") == expected
        assert bench.counted("clamped") == [sum(start_s > end_s for start_s, end_s in COUNTED)]
        points = [*await bench.history.read(0, FOREVER_S, SeriesFilter())]
        assert sum(point.calls for point in points) == len(COUNTED)
        assert all(NOW - LATE_S - 10 < point.start_s <= NOW + AHEAD_S for point in points)
        durations = sorted(max(0, end_s - start_s) for start_s, end_s in COUNTED)
        assert min(point.durations.min_ns for point in points) == durations[0]
        assert max(point.durations.max_ns for point in points) == durations[-1] * NS_PER_S
        await bench.roll_up_after(DAY_S)
        await bench.upkeep.roll_up()
        assert bench.counters.gauges()["storage_due_rollups", ()] == 0
        assert sum(calls for calls, *_ in (await bench.rows(3_600)).values()) == len(COUNTED)


async def test_a_clock_of_our_own_that_jumps_loses_and_repeats_nothing(new_bench: Any) -> None:
    """F21: a day ahead and back again, several times, with spans and upkeep in between; nothing waits for the clock."""
    async with new_bench() as bench:
        await bench.upkeep.delete_expired()
        before, sent = await bench.partition_counts(), []
        for number, jump_s in enumerate((0, DAY_S, -DAY_S, -90, 90, DAY_S, -DAY_S, 0)):
            bench.clock.advance(jump_s)
            spans = [server_span(end_ns=bench.clock() - NS_PER_S, index=number), server_span(end_ns=START_S * NS_PER_S)]
            sent.append(trace_request(spans).SerializeToString())
            async with asyncio.timeout(20):
                await bench.take([sent[-1]], 2)
                await bench.upkeep.roll_up()
                await bench.upkeep.delete_expired()
        after = await bench.partition_counts()
        assert all(now <= then + 2 * 8 for now, then in zip(after, before, strict=True)), (before, after)
        await bench.roll_up_after(DAY_S + 2 * HOUR_S)
        expected = plain_red_points(sent, latest_end_ns=2**62)
        for width_s in (10, 60, 3_600):
            found = [*await bench.history.read(0, FOREVER_S, SeriesFilter(), width_s)]
            assert totals_of(found, width_s) == totals_of(expected, width_s)
