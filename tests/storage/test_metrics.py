"""Metrics in the history: in the same transactions, tiers and upkeep as RED points, on either database."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import sqlalchemy

from storage.component import build_upkeep
from storage.dialects import IS_WRITER, POSTGRES, SQLITE
from storage.metric_ports import MetricFilter, label_of
from storage.metric_rows import MetricRow, sum_metric_rows
from storage.migrations import STEPS, migrate
from storage.ports import AlreadyCommittedError, SeriesFilter, TooManyPointsError
from storage.schema import METRIC_TABLES
from storage.settings import StorageSettings
from telemetry import Counters
from telemetry.metric_points import MetricColumns, MetricPoint
from telemetry.metric_series import MetricSeriesKey, canonical_labels
from telemetry.metric_states import Additions, Readings, state_from_bytes
from telemetry.metric_sums import exact, rounded
from tests.support.doubles import ManualClock
from tests.support.red_points import red_point

NOW_S = 1_700_000_400
DAY_S = 86_400
CALLS = MetricFilter(metric_name="calls")


def point(age_s: int = 0, value: float = 1.0, service: str = "shop", name: str = "calls") -> MetricPoint:
    second = NOW_S - age_s
    return MetricPoint(MetricSeriesKey(service, name), second, Additions(1, exact(value), second, second))


def total_of(found: MetricColumns) -> float:
    states = [state_from_bytes(raw) for _, _, raw in found.points]
    assert all(isinstance(state, Additions) for state in states)
    return rounded(sum(state.total or 0 for state in states if not hasattr(state, "starts")))


def starts_of(found: MetricColumns) -> list[int]:
    return [start_s for start_s, _, _ in found.points]


async def test_points_of_a_series_and_bucket_are_one(history: Any) -> None:
    """Added up over commits, in buckets of the finest width."""
    await history.commit([b"1".ljust(16)], [], [point(), point(3, 2.0)])
    await history.commit([b"2".ljust(16)], [], [point(1, 4.0), point(0, 1.0, "other")])
    found = await history.read_metrics(NOW_S - 60, NOW_S + 60, MetricFilter("calls", "shop"))
    assert starts_of(found) == [NOW_S - 10, NOW_S]
    assert [rounded(state_from_bytes(raw).total) for _, _, raw in found.points] == [6.0, 1.0]
    assert total_of(await history.read_metrics(0, 2**40, CALLS)) == 8.0


async def test_a_batch_that_is_known_keeps_everything_out(history: Any) -> None:
    """Metrics and RED points of the same commit are there together or not at all."""
    await history.commit([b"1".ljust(16)], [red_point("s", NOW_S)], [point()])
    with pytest.raises(AlreadyCommittedError):
        await history.commit([b"2".ljust(16), b"1".ljust(16)], [red_point("s", NOW_S)], [point()])
    assert total_of(await history.read_metrics(0, 2**40, CALLS)) == 1.0
    assert sum(one.calls for one in await history.read(0, 2**40, SeriesFilter())) == 1


async def test_writers_beside_each_other_lose_nothing(store: Any) -> None:
    """Two histories commit to the same series and buckets at once."""
    histories = [store.history() for _ in range(2)]
    for one in histories:
        await one.start()
    work = [one.commit([], [], [point(number % 20, 1.0)]) for number in range(60) for one in histories]
    await asyncio.gather(*work)
    assert total_of(await histories[0].read_metrics(0, 2**40, CALLS)) == 120.0
    for one in histories:
        await one.stop()


async def test_metrics_are_rolled_up_and_leave_in_their_turn(store: Any) -> None:
    """Every tier has all that it should: the sum stays, the buckets become wider, and at last all is gone."""
    clock = ManualClock(NOW_S)
    history = store.history(now_ns=clock)
    await history.start()
    upkeep = build_upkeep(StorageSettings(min_free_bytes=0), history, Counters(), now_ns=clock)
    # Metrics alone mark what is due, as RED points do.
    await history.commit([], [], [point(age_s) for age_s in range(0, 3 * 3_600, 7)])
    count = len(range(0, 3 * 3_600, 7))
    clock.advance(4_000)
    await upkeep.roll_up()
    clock.advance(100)
    await upkeep.roll_up()
    start_s = NOW_S - NOW_S % 3_600 - 2 * 3_600
    for width_s in (10, 60, 3_600):
        found = await history.read_metrics(start_s, start_s + 3_600, CALLS, width_s)
        assert len(found.points) == 3_600 // width_s
        assert total_of(await history.read_metrics(0, 2**40, CALLS, width_s)) == count
    await history.commit([], [], [point(5_000, 100.0)])
    assert total_of(await history.read_metrics(0, 2**40, CALLS, 3_600)) == count + 100
    for days, widths in ((3, {60, 3_600}), (36, {3_600})):
        clock.advance(days * DAY_S)
        await upkeep.roll_up()
        await upkeep.delete_expired()
        found = await history.read_metrics(0, 2**40, CALLS)
        assert total_of(found) == count + 100
        steps = {later - earlier for earlier, later in zip(starts_of(found), starts_of(found)[1:], strict=False)}
        assert min(steps) >= min(widths)
    clock.advance(1_000 * DAY_S)
    await upkeep.roll_up()
    for _ in range(3):
        await upkeep.delete_expired()
    assert not (await history.read_metrics(0, 2**40, CALLS)).points
    assert not await history.metric_series(0, 2**40, CALLS)
    engine = sqlalchemy.create_engine(store.url)
    with engine.connect() as connection:
        for table in METRIC_TABLES:
            assert connection.scalar(sqlalchemy.select(sqlalchemy.func.count()).select_from(table)) == 0
    engine.dispose()
    await history.stop()


async def test_a_database_of_version_3_takes_metrics_too(store: Any) -> None:
    """What it held is there as before; partitions for metrics are made by the upkeep."""
    dialect = SQLITE if store.kind == "sqlite" else POSTGRES
    made = dialect.open(sqlalchemy.make_url(store.url), StorageSettings())
    with made.execution_options(**{IS_WRITER: True}).begin() as connection:
        migrate(connection, dialect.ddl_words, STEPS[:3])
    made.dispose()
    clock = ManualClock(NOW_S)
    history = store.history(now_ns=clock)
    await history.start()
    await history.commit([], [red_point("s", NOW_S)], [point()])
    await build_upkeep(StorageSettings(min_free_bytes=0), history, Counters(), now_ns=clock).delete_expired()
    await history.commit([], [], [point(0, 2.0)])
    assert total_of(await history.read_metrics(0, 2**40, CALLS)) == 3.0
    assert len(await history.read(0, 2**40, SeriesFilter())) == 1
    await history.stop()


async def test_series_are_listed_by_when_they_were_written_to(store: Any) -> None:
    """Give or take the time after which a writer notes them again."""
    clock = ManualClock(NOW_S)
    history = store.history(now_ns=clock)
    await history.start()
    await history.commit([], [], [point(name="old"), point(name="both")])
    clock.advance(7_200)
    await history.commit([], [], [point(name="both"), point(name="new")])

    async def names(start_s: int, end_s: int) -> list[str]:
        return sorted(series.metric_name for series in await history.metric_series(start_s, end_s, MetricFilter()))

    assert await names(NOW_S - 60, NOW_S + 60) == ["both", "old"]
    assert await names(NOW_S + 7_000, NOW_S + 7_300) == ["both", "new"]
    assert await names(NOW_S - 60, NOW_S + 7_300) == ["both", "new", "old"]
    assert await names(NOW_S - 9_000, NOW_S - 8_000) == []
    await history.stop()


async def test_a_question_reads_no_more_than_it_may(store: Any) -> None:
    """It is refused with what to ask instead."""
    history = store.history(max_read_points=5)
    await history.start()
    await history.commit([], [], [point(10 * number) for number in range(6)])
    with pytest.raises(TooManyPointsError, match=r"more than 5 points.*MAX_READ_POINTS"):
        await history.read_metrics(0, 2**40, CALLS)
    await history.commit([], [], [point(0, 1, f"s{number}", "many") for number in range(6)])
    with pytest.raises(TooManyPointsError, match="more than 5 such series"):
        await history.metric_series(0, 2**40, MetricFilter())
    await history.stop()


async def test_filters_find_series_under_the_names_that_they_were_sent_with(history: Any) -> None:
    """By fields in SQL, by labels beside it; NUL, which PostgreSQL refuses, is replaced on either side."""
    labels = {"resource": canonical_labels({"container.name": "x"}), "attributes": canonical_labels({"kind": "a"})}
    series = MetricSeriesKey("sh\0op", "calls", **labels)
    await history.commit([], [], [MetricPoint(series, NOW_S, Readings(1, 0, 0.0, 0.0, 1, 0.0)), point()])
    for where in (
        MetricFilter("calls", "sh\0op"),
        MetricFilter("calls", labels=(("container.name", "x"), ("kind", "a"))),
    ):
        found = await history.read_metrics(0, 2**40, where)
        assert [one.service_name for one in found.series] == ["sh\ufffdop"]
        assert len(found.points) == 1
    assert not (await history.read_metrics(0, 2**40, MetricFilter("calls", labels=(("kind", "b"),)))).points
    assert [label_of(series, name) for name in ("service", "kind", "container.name", "none")] == [
        *("sh\0op", "a", "x", ""),
    ]


async def test_many_series_are_read_in_parts(history: Any) -> None:
    """Together they are all of them."""
    await history.commit([], [], [point(0, 1.0, f"s{number}") for number in range(1_200)])
    found = await history.read_metrics(0, 2**40, CALLS)
    assert total_of(found) == 1_200
    assert sorted({index for _, index, _ in found.points}) == list(range(1_200))


def test_rows_add_up_by_bucket_and_series() -> None:
    """One row for each key, sorted, as wide as asked for; a row that is alone keeps its bytes."""
    states = [Additions(1, exact(float(2**number)), 5, 5) for number in range(4)]
    rows = [
        MetricRow(start_s, series, state.to_bytes())
        for (start_s, series), state in zip(((70, 1), (10, 2), (60, 1), (20, 2)), states, strict=True)
    ]
    sums = [(row.start_s, row.series_id, state_from_bytes(row.state)) for row in sum_metric_rows(rows, 60)]
    assert sums == [
        (0, 2, Additions(2, exact(10.0), 5, 5)),
        (60, 1, Additions(2, exact(5.0), 5, 5)),
    ]
    assert sum_metric_rows(rows[:1]) == rows[:1]
