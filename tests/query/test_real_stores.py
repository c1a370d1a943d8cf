"""The same questions on the real stores: a SQLite file, a PostgreSQL database, the in-process live feed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from query import GroupBy, Query, QuerySettings, QuestionError, SeriesFilter, StorageUnavailableError
from storage.component import (
    build_in_process_live_feed,
    build_postgres_history,
    build_sqlite_history,
    build_upkeep,
)
from storage.settings import StorageSettings
from telemetry import Counters, SeriesKey
from tests.support.calls import Call, check_red, point, points_of, random_calls
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


async def test_answers_are_a_plain_count_whichever_tier_they_come_from(stores: Stores) -> None:
    """Steps of seconds, minutes and hours, before and after rolling up, with calls that come late, of one or all."""
    now_s = stores.now_s
    calls = random_calls(9, 800, now_s - 4 * 3_600, now_s)
    late = random_calls(10, 200, now_s - 4 * 3_600, now_s)
    upkeep = build_upkeep(StorageSettings(rollup_grace_s=0), stores.history, Counters(), now_ns=stores.clock)

    async def check(known: list[Call]) -> None:
        query = Query(QuerySettings(), stores.history, stores.live, stores.clock)
        for step_s in (60, 300, 3_600):
            for where in (SeriesFilter(), SeriesFilter(service_name="churn")):
                answer = await query.red(now_s - 4 * 3_600, now_s, step_s, ("service",), where)
                assert answer.step_s == step_s
                check_red(answer, known, ("service",), where)
        services = await query.services(3 * 3_600 + 11, end_s=now_s)
        assert services.total.calls == sum(services.start_s <= call.end_s for call in known)
        assert 0 <= now_s - (3 * 3_600 + 11) - services.start_s < 60

    async def roll_up() -> int:
        stores.clock.advance(1)
        return await upkeep.roll_up() + await upkeep.roll_up()

    await stores.history.commit([b"x" * 16], points_of(calls))
    await check(calls)
    while await roll_up():
        await check(calls)
    await stores.history.commit([], points_of(late))
    await check([*calls, *late])
    while await roll_up():
        await check([*calls, *late])


async def test_short_windows_of_long_ago_begin_where_they_say(stores: Stores) -> None:
    """Where only minutes or hours are left, a window begins with a whole one, and holds all that it says it does."""
    day_s = 86_400
    ends_s = [stores.now_s - days * day_s for days in (3, 40)]
    calls = random_calls(11, 400, ends_s[0] - 600, ends_s[0]) + random_calls(12, 400, ends_s[1] - 9 * 3_600, ends_s[1])
    await stores.history.commit([], points_of(calls))
    settings = StorageSettings(min_free_bytes=0, rollup_grace_s=1, max_clock_skew_s=1e12)
    upkeep = build_upkeep(settings, stores.history, Counters(), now_ns=stores.clock)

    async def roll_up() -> None:
        for _ in range(3):
            stores.clock.advance(5)
            await upkeep.roll_up()

    await roll_up()
    await upkeep.delete_expired()
    query = Query(QuerySettings(), stores.history, stores.live, stores.clock)
    for window_s, end_s, width_s in ((300, ends_s[0] - 7, 60), (5 * 3_600 + 17, ends_s[1] - 7, 3_600)):
        services = await query.services(window_s, end_s=end_s)
        assert end_s - window_s - width_s < services.start_s <= end_s - window_s
        assert services.start_s % width_s == 0
        assert services.total.calls == sum(services.start_s <= call.end_s < services.end_s for call in calls) > 0
    # A step that is widened to whole minutes may begin where there are none any more.
    _, minutes, _ = await stores.history.kept()
    step_s, at_s = next(
        (step_s, second)
        for step_s in range(421, 3_600, 60)
        for second in range(minutes.since_s, minutes.since_s + step_s)
        if second - second % step_s >= minutes.since_s > second - second % (step_s + -step_s % 60)
    )
    edge = random_calls(13, 100, minutes.since_s - 3_600, minutes.since_s + 3_600)
    await stores.history.commit([], points_of(edge))
    await roll_up()
    answer = await query.red(at_s, at_s + 3_600, step_s, ())
    check_red(answer, [*calls, *edge], (), SeriesFilter())


async def test_months_and_years_are_answered_by_the_hour(stores: Stores) -> None:
    """Each call is there once, in totals and by the day; health is of the last minute and not of the last hour."""
    day_s = 86_400
    calls = [
        Call(SeriesKey(("churn", "prices")[age_s % 2], http_route=f"/{age_s % 3}"), stores.now_s - age_s, age_s, False)
        for age_s in [*range(5, 729 * day_s, 3 * day_s + 1), *range(10, 45)]
    ]
    await stores.history.commit([], points_of(calls))
    upkeep = build_upkeep(
        StorageSettings(min_free_bytes=0, rollup_grace_s=1), stores.history, Counters(), now_ns=stores.clock
    )
    for _ in range(3):
        stores.clock.advance(5)
        await upkeep.roll_up()
        stores.clock.advance(5)
    await upkeep.delete_expired()
    now_s = stores.clock.now_s
    query = Query(QuerySettings(), stores.history, stores.live, stores.clock)
    for days in (90, 730):
        services = await query.services(days * day_s)
        inside = [call for call in calls if call.end_s >= services.start_s]
        assert services.total.calls == len(inside) > days // 4
        assert {item.service: item.total.calls for item in services.items} == Counter(
            call.series.service_name for call in inside
        )
        assert [item.problems for item in services.items] == [(), ()]
        by_day = await query.red(now_s - days * day_s, now_s + 1, day_s, ("service",))
        check_red(by_day, calls, ("service",), SeriesFilter())
        churn = SeriesFilter(service_name="churn")
        by_route = await query.red(now_s - days * day_s, now_s + 1, day_s, ("route",), churn)
        check_red(by_route, calls, ("route",), churn)
    with pytest.raises(QuestionError, match="ask for a step of"):
        await query.red(now_s - 730 * day_s, now_s, 3_600)
