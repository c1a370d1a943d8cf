"""The SQL views of PostgreSQL say what the history says, whichever tier holds the truth."""

from __future__ import annotations

import asyncio
import math
import random
import struct
import subprocess
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy import Engine

from storage.component import build_upkeep
from storage.history import SqlHistory
from storage.ports import SeriesFilter
from storage.settings import StorageSettings
from telemetry import Counters, ExponentialHistogram, RedPoint, SeriesKey
from telemetry.exponential_histogram import OVERFLOW_INDEX, SCALE, ZERO_INDEX
from tests.support.doubles import ManualClock

READER = Path(__file__).parent.parent.parent / "deploy" / "postgres" / "reader.sql"

HOUR_S, DAY_S = 3_600, 86_400
NOW_S = 1_700_000_000 // DAY_S * DAY_S + 5_000
SETTINGS: dict[str, Any] = {
    "rollup_grace_s": 0,
    "points_retention_s": 2 * HOUR_S,
    "medium_retention_s": 6 * HOUR_S,
    "coarse_retention_s": 30 * DAY_S,
    "min_free_bytes": 0,
    "max_clock_skew_s": 1e12,  # the clock of the tests is not the server's
}
SHARES = [0.0, 0.5, 0.95, 0.99, 1.0]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW_S)


@pytest.fixture
async def history(postgres_store: Any, clock: ManualClock) -> AsyncIterator[SqlHistory]:
    made: SqlHistory = postgres_store.history(now_ns=clock, **SETTINGS)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def engine(history: SqlHistory, postgres_store: Any) -> Any:
    made = sqlalchemy.create_engine(postgres_store.url)
    yield made
    made.dispose()


def rows(engine: Engine, question: str, **values: Any) -> Sequence[Any]:
    with engine.connect() as connection:
        return connection.execute(sqlalchemy.text(question), values).all()


def points(seed: int, newest_s: int, oldest_s: int, count: int = 60) -> list[RedPoint]:
    dice = random.Random(seed)
    return [
        RedPoint(
            SeriesKey(
                f"service-{dice.randrange(3)}",
                http_route="/items/{id}",
                http_status_class=dice.choice(["2xx", "4xx", "5xx"]),
            ),
            dice.randrange(oldest_s, newest_s),
            calls := dice.randint(1, 5),
            dice.randint(0, calls),
            ExponentialHistogram.of([dice.randint(0, 10**10) for _ in range(calls)]),
        )
        for _ in range(count)
    ]


async def committed(history: SqlHistory, number: int, what: Sequence[RedPoint]) -> None:
    await history.commit([number.to_bytes(16, "big")], what)


async def check(engine: Engine, history: SqlHistory, view: str, width_s: int) -> None:
    """Hold what a view says of each hour and service against the history's answer."""
    start_s, end_s = NOW_S - DAY_S, NOW_S + DAY_S
    expected: dict[tuple[str, int], list[Any]] = {}
    for point in await history.read(start_s, end_s, SeriesFilter(), width_s=width_s):
        key = (point.series.service_name, point.start_s // HOUR_S)
        found = expected.setdefault(key, [0, 0, []])
        found[0] += point.calls
        found[1] += point.errors
        found[2].append(point.durations)
    answered = rows(
        engine,
        f"SELECT service_name, start_s / 3600, sum(calls)::bigint, sum(errors)::bigint, sum(duration_sum_s), "
        f"modelwatch_percentiles_s(array_agg(durations), :shares) FROM {view} "
        "WHERE start_s >= :start_s AND start_s < :end_s GROUP BY 1, 2",
        shares=SHARES,
        start_s=start_s,
        end_s=end_s,
    )
    assert {(service, hour): (calls, errors) for service, hour, calls, errors, *_ in answered} == {
        key: (calls, errors) for key, (calls, errors, _) in expected.items()
    }, view
    for service, hour, _, _, sum_s, percentiles in answered:
        merged = ExponentialHistogram.merge(expected[service, hour][2])
        assert math.isclose(sum_s, merged.sum_ns / 1e9)
        assert percentiles == pytest.approx(merged.quantiles(SHARES), rel=1e-12)


async def test_every_view_holds_every_call_once_while_tiers_roll_up_retire_and_late_data_comes(
    history: SqlHistory, engine: Engine, clock: ManualClock
) -> None:
    """Before the first roll-up, after it, with late data, with retired tiers, and with what comes to those."""
    upkeep = build_upkeep(StorageSettings(**SETTINGS), history, Counters(), now_ns=clock)

    async def are_right() -> None:
        for view, width_s in (("modelwatch_red", 10), ("modelwatch_red_1m", 60), ("modelwatch_red_1h", HOUR_S)):
            await check(engine, history, view, width_s)

    await committed(history, 1, points(1, NOW_S, NOW_S - 12 * HOUR_S))
    await are_right()
    await upkeep.roll_up()
    await are_right()
    await committed(history, 2, points(2, NOW_S, NOW_S - 90 * 60))
    await are_right()
    await upkeep.delete_expired()
    await are_right()
    await committed(history, 3, points(3, NOW_S, NOW_S - 12 * HOUR_S))
    await are_right()
    await upkeep.roll_up()
    await are_right()
    clock.advance(5 * HOUR_S)
    await upkeep.delete_expired()
    await committed(history, 4, points(4, NOW_S, NOW_S - 12 * HOUR_S, count=20))
    await are_right()


async def test_percentiles_of_nothing_are_nothing_and_the_ends_are_exact(engine: Engine) -> None:
    """Zero, longer than the last bucket, one duration, none; and floats are read as they were written."""
    assert (SCALE, ZERO_INDEX, OVERFLOW_INDEX) == (6, -1916, 1096)
    cases = ([0], [0, 5], [3 * 10**14, 1], [123_456_789], [])
    for durations in cases:
        histogram = ExponentialHistogram.of(durations)
        found = rows(
            engine, "SELECT modelwatch_percentiles_s(:raw, :shares)", raw=[histogram.to_bytes()], shares=SHARES
        )[0][0]
        assert found == pytest.approx(histogram.quantiles(SHARES)), durations
    for value in (0.0, -0.0, 1.0, -2.5, 1e300, 5e-324, 0.1, float("inf"), -float("inf")):
        raw = b"x" + struct.pack("<d", value)
        assert rows(engine, "SELECT modelwatch_float64(:raw, 1)", raw=raw) == [(value,)]


async def test_the_reader_reads_the_views_and_nothing_else(engine: Engine) -> None:
    """The role of deploy/postgres/reader.sql, made twice; every view answers it, tables and changes do not."""
    plain = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    for _ in range(2):
        command = ["psql", "--quiet", "--no-psqlrc", f"--file={READER}", "--set=password=se'cret", plain]
        await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True, timeout=30)
    views = [name for (name,) in rows(engine, "SELECT viewname FROM pg_views WHERE schemaname = 'public'")]
    assert len(views) == 9
    reader = sqlalchemy.create_engine(engine.url.set(username="modelwatch_reader", password="se'cret"))
    try:
        for view in views:
            assert rows(reader, f"SELECT * FROM {view}") == []
        assert rows(reader, "SELECT modelwatch_percentile_s(ARRAY[]::bytea[], 0.5)") == [(None,)]
        for refused in ("SELECT * FROM red_points", "SELECT * FROM alert_rules", "CREATE TABLE mine (id INT)"):
            with pytest.raises(sqlalchemy.exc.DBAPIError):
                rows(reader, refused)
    finally:
        reader.dispose()
