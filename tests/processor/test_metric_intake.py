"""Metrics through the real intake into the real stores: the answers are those of a plain reference, counted once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processor.component import build
from processor.intake import Intake
from processor.settings import ProcessorSettings
from query import Aggregation, MetricAnswer, MetricFilter, MetricQuery, QuerySettings
from query.metric_quantiles import quantile_of
from storage.component import (
    build_in_process_live_feed,
    build_postgres_history,
    build_sqlite_history,
    build_upkeep,
)
from storage.history import SqlHistory
from storage.ports import SeriesFilter
from storage.settings import StorageSettings
from storage.upkeep import Upkeep
from telemetry import Batch, Counters, PermanentError, Signal
from telemetry.counters import CounterName
from tests.support.doubles import ManualClock
from tests.support.otlp import resource, server_spans, trace_request
from tests.support.otlp_metrics import gauge, metric_request, number_point
from tests.support.plain_metrics import BOUNDS, HISTOGRAM_KINDS, KINDS, Observed, Reference

START_S = 1_760_000_400
LENGTH_S = 180
NOW_S = START_S + LENGTH_S


def batch_of(points: Iterable[Observed]) -> Batch:
    points = list(points)
    body = metric_request([point.metric() for point in points], resource("shop")).SerializeToString()
    return Batch.of(Signal.METRICS, body, item_count=len(points), received_unix_nano=0)


@dataclass
class World:
    """An intake, the store behind it, and who asks; `begin` empties it."""

    history: SqlHistory
    upkeep: Upkeep
    clock: ManualClock
    settings: StorageSettings

    def begin(self) -> None:
        self.counters = Counters()
        self.live = build_in_process_live_feed(self.settings, self.counters, now_ns=self.clock)
        processing = ProcessorSettings(commit_interval_s=0.01)
        self.intake: Intake = build(processing, self.history, self.live, self.counters, self.clock)
        self.query = MetricQuery(QuerySettings(history_cache_s=0), self.history, self.clock)
        self.clock.advance(NOW_S - self.clock.now_s)

    async def consume(self, batches: Sequence[Batch]) -> None:
        await asyncio.gather(*map(self.intake.consume, batches))

    async def empty(self) -> None:
        def job(connection: Any) -> None:
            for name in ("metric_points", "metric_points_medium", "metric_points_coarse", "metric_series"):
                connection.execute(sqlalchemy.text(f"DELETE FROM {name}"))
            for name in ("red_points", "red_points_medium", "red_points_coarse", "batches", "rollups_due"):
                connection.execute(sqlalchemy.text(f"DELETE FROM {name}"))

        await self.history.database.write(job)
        self.history._metric_catalog.forget_noted()

    async def ask(self, kind: str, aggregation: str, step_s: int) -> dict[tuple[int, int], float]:
        """Return the values that are known by series and step."""
        answer = await self.metric(kind, aggregation, step_s)
        assert answer.step_s == step_s
        return {
            (int(item.labels["series"]), step): value
            for item in answer.items
            for step, value in enumerate(item.values)
            if value is not None
        }

    async def metric(self, kind: str, aggregation: Any, step_s: int, **fields: Any) -> MetricAnswer:
        where = MetricFilter(metric_name=kind, **fields)
        asked: Aggregation = aggregation
        return await self.query.metric(START_S, START_S + LENGTH_S, step_s, where, ("series",), asked)

    def items_add_up(self) -> bool:
        names: list[CounterName] = [
            "processor_stored_items",
            "processor_invalid_items",
            "processor_late_items",
            "processor_duplicate_items",
            "processor_poison_items",
            "processor_refused_items",
            "processor_discarded_items",
        ]
        return self.counters.total("processor_received_items") == sum(map(self.counters.total, names))


@pytest.fixture(params=["sqlite", "postgres"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    clock = ManualClock(NOW_S)
    chosen = StorageSettings(rollup_grace_s=1, min_free_bytes=0)
    if request.param == "sqlite":
        history = build_sqlite_history(chosen, f"sqlite:///{tmp_path / 'history.db'}", now_ns=clock)
    else:
        history = build_postgres_history(chosen, request.getfixturevalue("postgres").fresh_database(), now_ns=clock)
    await history.start()
    made = World(history, build_upkeep(chosen, history, Counters(), now_ns=clock), clock, chosen)
    made.begin()
    await made.intake.start()
    yield made
    await made.intake.stop()
    await history.stop()
    assert made.items_add_up(), made.counters.snapshot()


VALUES = st.integers(-8, 40).map(lambda value: value / 4)
GROWTHS = st.integers(0, 40).map(lambda value: value / 4)
TIMES = st.integers(1, 12) | st.integers(55, 75) | st.integers(1, LENGTH_S - 1)
SEEN = st.lists(st.sampled_from([0.75, 1.5, 3.0, 6.0]), max_size=4)


@st.composite
def points_of_a_series(draw: st.DrawFn, kind: str, series: int) -> list[Observed]:
    """A series as an honest sender reports it: totals grow, and begin anew when it restarts."""
    times = sorted(draw(st.lists(TIMES, max_size=8, unique=True)))
    points = []
    start_s, value = START_S, 0.0
    seen: list[float] = []
    previous_s = START_S
    for second in times:
        time_s = START_S + second
        if kind.startswith("delta") or kind in ("gauge", "both_ways"):
            start_s, seen = previous_s, []
            value = draw(GROWTHS if kind == "delta" else VALUES)
        else:
            if kind == "unstarted":
                # Within ten seconds a total may begin anew once and then not pass its peak, which is not tried here.
                start_s = 0
                if time_s // 10 > previous_s // 10 and draw(st.booleans()):
                    value = 0.0
            elif time_s - previous_s > 1 and draw(st.integers(0, 3)) == 0:
                start_s, value, seen = previous_s + 1, 0.0, []
            value += draw(GROWTHS)
        seen = seen + draw(SEEN) if kind in HISTOGRAM_KINDS else seen
        is_histogram = kind in HISTOGRAM_KINDS
        points.append(Observed(kind, series, time_s, start_s, 0.0 if is_histogram else value, tuple(seen)))
        previous_s = time_s
    return points


@st.composite
def courses(draw: st.DrawFn) -> tuple[list[Observed], list[list[list[Observed]]]]:
    """Points, and groups of batches that hold each of them at least once, in any order."""
    chosen = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=4, unique=True))
    points = [
        point
        for kind in chosen
        for series in range(draw(st.integers(1, 2)))
        for point in draw(points_of_a_series(kind, series))
    ]
    order = draw(st.permutations(points))
    batches = []
    while order:
        size = draw(st.integers(1, 6))
        batches.append(order[:size])
        order = order[size:]
    # The very same batch may come again, next to the first or much later.
    batches += draw(st.lists(st.sampled_from(batches), max_size=3)) if batches else []
    groups = []
    while batches:
        size = draw(st.integers(1, 4))
        groups.append(batches[:size])
        batches = batches[size:]
    return points, groups


def same(found: dict[tuple[int, int], float], wanted: dict[tuple[int, int], float]) -> None:
    assert found.keys() == wanted.keys()
    assert [found[cell] for cell in wanted] == pytest.approx(list(wanted.values()), rel=1e-12, abs=1e-12)


async def check(world: World, points: list[Observed], step_s: int) -> None:
    reference = Reference(points, START_S, step_s)
    for kind in ("gauge", "both_ways"):
        for aggregation in ("avg", "min", "max", "last"):
            same(await world.ask(kind, aggregation, step_s), reference.readings(kind, aggregation))
    for kind in set(KINDS) - {"gauge", "both_ways"}:
        same(await world.ask(kind, "increase", step_s), reference.increases(kind))
    for kind in HISTOGRAM_KINDS:
        observed = reference.observations(kind)
        sums = {cell: sum(seen) for cell, seen in observed.items()}
        same(await world.ask(kind, "sum", step_s), sums)
        wanted = {cell: median(kind, seen) for cell, seen in observed.items() if seen}
        same(await world.ask(kind, "p50", step_s), wanted)


def median(kind: str, seen: Sequence[float]) -> float:
    """The quantile of plainly counted buckets: that states merge, not how a quantile is told, is tested here."""
    inf = float("inf")
    edges = [0.5, 1.0, 2.0, 4.0, 8.0] if "exponential" in kind else [-inf, *BOUNDS, inf]
    cells = list(pairwise(edges))
    counts = {(low, high): sum(low < one <= high for one in seen) for low, high in cells}
    found = quantile_of([counts], (-inf, inf), 0.5)
    assert found is not None
    return found


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(courses(), st.integers(0, 3))
async def test_any_points_in_any_order_and_any_batches_give_the_answers_of_the_reference(
    world: World, course: tuple[list[Observed], list[list[list[Observed]]]], rolled_after: int
) -> None:
    """Batches come twice, groups are committed one by one, and roll-ups happen in between and afterwards."""
    points, groups = course
    await world.empty()
    await world.intake.stop()
    world.begin()
    await world.intake.start()
    for number, group in enumerate(groups):
        await world.consume([batch_of(batch) for batch in group])
        if number == rolled_after:
            world.clock.advance(120)
            await world.upkeep.roll_up()
    await check(world, points, 10)
    await check(world, points, 60)
    world.clock.advance(4_000)
    await world.upkeep.roll_up()
    await check(world, points, 60)
    assert world.items_add_up()


async def test_a_group_of_traces_and_metrics_is_one_transaction(world: World) -> None:
    """Both are there or neither; a second time neither counts again, and logs are taken beside them."""
    spans = trace_request(server_spans(3, end_ns=(NOW_S - 5) * 10**9), resource("shop")).SerializeToString()
    traces = Batch.of(Signal.TRACES, spans, item_count=3, received_unix_nano=0)
    metrics = batch_of([Observed("delta", 0, START_S + 5, START_S, 2.0)])
    logs = Batch.of(Signal.LOGS, b"", item_count=7, received_unix_nano=0)
    for _ in range(2):
        await world.consume([traces, metrics, logs])
    assert sum(point.calls for point in await world.history.read(0, 2**40, SeriesFilter())) == 3
    assert await world.ask("delta", "increase", 10) == {(0, 0): 2.0}
    assert world.counters.total("processor_stored_items") == 4
    assert world.counters.total("processor_duplicate_items") == 4
    assert world.counters.total("processor_discarded_items") == 14


async def test_a_crash_before_the_commit_leaves_neither_batch_ids_nor_points(world: World) -> None:
    """What the sender hears is that it may try again, and trying again stores it once."""
    batch = batch_of([Observed("delta", 0, START_S + 5, START_S, 2.0)])
    await world.history.database.close()
    with pytest.raises(Exception, match="send it again"):
        await world.intake.consume(batch)
    world.history.database.open()
    await world.consume([batch])
    assert await world.ask("delta", "increase", 10) == {(0, 0): 2.0}
    assert world.counters.total("processor_refused_items") == 1


async def test_what_cannot_be_is_set_aside_and_counted_and_its_neighbours_are_kept(world: World) -> None:
    """Values that are no numbers, times that cannot be, gaps, NUL bytes and texts that are no text."""
    good = number_point(2.5, series=1)
    good.time_unix_nano = (NOW_S - 1) * 10**9
    points = [number_point(value, series=2) for value in (float("nan"), float("inf"), None)]
    points += [number_point(None, flags=1, series=3), number_point(2**62, series="a\0b")]
    for point in points:
        point.time_unix_nano = (NOW_S - 1) * 10**9
    future, ancient, late = (number_point(1, series=4) for _ in range(3))
    future.time_unix_nano = (NOW_S + 5_000) * 10**9
    ancient.time_unix_nano = 5
    late.time_unix_nano = (NOW_S - 172_800) * 10**9
    body = metric_request([gauge(good, *points, future, ancient, late, name="load")]).SerializeToString()
    # Three bytes that stand for a lone surrogate, which no UTF-8 has.
    body = body.replace(b"tests", b"te\xed\xa0\x80")
    await world.consume([Batch.of(Signal.METRICS, body, item_count=9, received_unix_nano=0)])
    answer = await world.metric("load", "last", 10)
    assert {item.labels["series"]: max(filter(None, item.values)) for item in answer.items} == {
        "1": 2.5,
        "a\ufffdb": float(2**62),
    }
    names: list[CounterName] = [
        "processor_stored_items",
        "processor_skipped_items",
        "processor_invalid_items",
        "processor_late_items",
    ]
    assert [world.counters.total(name) for name in names] == [3, 1, 5, 1]


async def test_poison_fails_alone(world: World) -> None:
    """Bytes that are no request at all do not hold up the batch beside them."""
    poison = Batch.of(Signal.METRICS, b"\xff\xff", item_count=4, received_unix_nano=0)
    batch = batch_of([Observed("delta", 0, START_S + 5, START_S, 2.0)])
    outcomes = await asyncio.gather(*map(world.intake.consume, [poison, batch]), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [PermanentError, type(None)]
    assert world.counters.total("processor_poison_items") == 4
