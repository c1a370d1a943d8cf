"""The same questions on the real stores: a SQLite file, a PostgreSQL database, the in-process live feed."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from query import GroupBy, Query, QuerySettings, QuestionError, SeriesFilter, StorageUnavailableError
from storage.component import build_in_process_live_feed, build_postgres_history, build_sqlite_history
from storage.settings import StorageSettings
from telemetry import Counters, SeriesKey
from tests.support.calls import check_red, point, points_of, random_calls
from tests.support.doubles import ManualClock


@dataclass
class Stores:
    history: Any
    live: Any
    clock: ManualClock
    now_s: int
    query: Query


@pytest.fixture(params=["sqlite", "postgres"])
async def stores(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stores]:
    """History and feed, started an hour before the present of the clock."""
    now_s = int(time.time())
    clock = ManualClock(now_s - 3_600)
    settings = StorageSettings(max_read_points=5_000)
    if request.param == "sqlite":
        history = build_sqlite_history(settings, f"sqlite:///{tmp_path / 'history.db'}", now_ns=clock)
    else:
        url = request.getfixturevalue("postgres").fresh_database()
        history = build_postgres_history(settings, url, now_ns=clock)
    live = build_in_process_live_feed(settings, Counters(), now_ns=clock)
    await history.start()
    await live.start()
    clock.advance(3_600)
    yield Stores(history, live, clock, now_s, Query(QuerySettings(), history, live, clock))
    await live.stop()
    await history.stop()


async def test_both_sources_give_a_plain_count(stores: Stores) -> None:
    """What the processor commits and publishes is what is answered, from either source, by any grouping."""
    now_s = stores.now_s
    calls = random_calls(7, 2_000, now_s - 1_500, now_s)
    await stores.history.commit([b"x" * 16], points_of(calls))
    await stores.live.publish(points_of(calls))
    groupings: list[tuple[GroupBy, ...]] = [("service",), ("route", "status_class"), ()]
    for group_by in groupings:
        for where in (SeriesFilter(), SeriesFilter(service_name="churn", deployment_environment="prod")):
            recent = await stores.query.red(now_s - 600, now_s, 5, group_by, where)
            longer = await stores.query.red(now_s - 1_400, now_s, 5, group_by, where)
            assert (recent.source, longer.source, longer.step_s) == ("live", "history", 10)
            check_red(recent, calls, group_by, where)
            check_red(longer, calls, group_by, where)
    services = await stores.query.services(2_000)
    assert services.total.calls == 2_000
    assert {item.service for item in services.items} == {"churn", "prices", "sentiment"}


async def test_a_new_system_answers_in_seconds_from_the_first_minute_on(tmp_path: Path) -> None:
    """A history that began with the live feed leaves the answers to the feed, which is finer."""
    clock = ManualClock(1_700_000_003.5)
    settings = StorageSettings()
    history = build_sqlite_history(settings, f"sqlite:///{tmp_path / 'history.db'}", now_ns=clock)
    live = build_in_process_live_feed(settings, Counters(), now_ns=clock)
    await history.start()
    await live.start()
    try:
        query = Query(QuerySettings(), history, live, clock)
        clock.advance(30)
        points = points_of(random_calls(1, 100, 1_700_000_004, 1_700_000_033))
        await history.commit([], points)
        await live.publish(points)
        answer = await query.red(1_700_000_034 - 300, 1_700_000_034, 1, ())
        assert (answer.source, answer.step_s, answer.items[0].total.calls) == ("live", 1, 100)
    finally:
        await live.stop()
        await history.stop()


async def test_more_points_than_the_store_reads_at_once_is_a_question_error(stores: Stores) -> None:
    """The store's own bound reaches whoever asked, as something to change in the question."""
    await stores.history.commit([], [point(SeriesKey(f"s{n}"), stores.now_s - 2_000, [0.1]) for n in range(5_001)])
    with pytest.raises(QuestionError, match="more than 5000 points") as caught:
        await stores.query.services(3_000)
    assert caught.value.parameter == "start_s"


async def test_a_stopped_database_is_unavailable(stores: Stores) -> None:
    """The check and every question that needs the history say so."""
    await stores.query.check()
    await stores.history.stop()
    with pytest.raises(StorageUnavailableError):
        await stores.query.check()
    with pytest.raises(StorageUnavailableError):
        await stores.query.services(3_000)
