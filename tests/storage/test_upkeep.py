"""The duties that must be done once, with several processes at them, and with a disk that fills."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Collection
from typing import Any

import pytest
import sqlalchemy

from storage.component import build_upkeep
from storage.dialects import POSTGRES, Space
from storage.disk_guard import DiskGuard
from storage.history import SqlHistory
from storage.ports import SeriesFilter, StorageUnavailableError
from storage.settings import StorageSettings
from storage.upkeep import Upkeep
from telemetry import Counters
from tests.support.doubles import ManualClock
from tests.support.red_points import red_point, totals_of
from tests.support.waiting import eventually

EVERYTHING = SeriesFilter()
ROUTELESS = ("service_name", "http_status_class")
HOUR_S, DAY_S = 3_600, 86_400
NOW_S = 1_700_000_000 // DAY_S * DAY_S + 50
AT_ONCE: dict[str, Any] = {
    "rollup_grace_s": 0,
    "rollup_interval_s": 0.02,
    "retention_interval_s": 0.05,
    "min_free_bytes": 0,
    "max_clock_skew_s": 1e12,  # the clock of the tests is not the server's
}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW_S)


@pytest.fixture
async def history(store: Any, clock: ManualClock) -> AsyncIterator[SqlHistory]:
    made: SqlHistory = store.history(now_ns=clock, **AT_ONCE)
    await made.start()
    yield made
    await made.stop()


def upkeep_of(history: SqlHistory, clock: ManualClock, **settings: Any) -> Upkeep:
    return build_upkeep(StorageSettings(**{**AT_ONCE, **settings}), history, Counters(), now_ns=clock)


async def test_reads_at_every_width_are_exact_while_others_commit_and_roll_up(store: Any, clock: ManualClock) -> None:
    """An answer holds all that was committed before the question, and nothing twice, whoever is at what meanwhile."""
    histories = [store.history(now_ns=clock, write_threads=4, **AT_ONCE) for _ in range(2)]
    for history in histories:
        await history.start()
    rivals = [upkeep_of(history, clock) for history in histories]
    for upkeep in rivals:
        await upkeep.start()
    done, begun, is_over = 0, 0, False

    async def commit(number: int) -> None:
        nonlocal done, begun
        for step in range(25):
            ages = (60, 119, 130, HOUR_S + number, 2 * HOUR_S)
            begun += len(ages)
            points = [red_point(f"s{step % 3}", NOW_S - age_s, duration_ms=1 + age_s) for age_s in ages]
            await histories[number % 2].commit([os.urandom(16)], points)
            done += len(ages)

    async def read(width_s: int, by: Collection[str] | None) -> int:
        checks = 0
        while not is_over:
            least = done
            found = await histories[checks % 2].read(0, 2**40, EVERYTHING, width_s, by)
            assert least <= sum(point.calls for point in found) <= begun
            checks += 1
        return checks

    readers = [asyncio.create_task(read(width_s, by)) for width_s, by in ((10, None), (60, ROUTELESS), (HOUR_S, None))]
    await asyncio.gather(*(commit(number) for number in range(4)))
    is_over = True
    assert min(await asyncio.gather(*readers)) > 3
    finest = totals_of(await histories[0].read(0, 2**40, EVERYTHING), HOUR_S)
    assert sum(total[0] for total in finest.values()) == 4 * 25 * 5

    async def is_rolled_up() -> bool:
        found = await histories[0].read(0, NOW_S // HOUR_S * HOUR_S, EVERYTHING, HOUR_S)
        return all(point.start_s % HOUR_S == 0 for point in found)

    clock.advance(HOUR_S)
    await eventually(is_rolled_up, timeout_s=20)
    for width_s in (60, HOUR_S):
        assert totals_of(await histories[1].read(0, 2**40, EVERYTHING, width_s), HOUR_S) == finest
    await asyncio.gather(*(part.stop() for part in (*rivals, *histories)))


async def test_an_overview_reads_one_point_for_each_service(history: SqlHistory, clock: ManualClock) -> None:
    """Routes, methods and peers are added up where no question is about them; versions and outcomes are not."""
    start_s = NOW_S // HOUR_S * HOUR_S
    outcomes = [{"http_status_class": one} for one in ("2xx", "4xx")] + [{"service_version": "2"}]
    await history.commit(
        [],
        [
            red_point("shop", start_s, 2, 1, http_route=f"/{number}", http_method="GET", **fields)
            for number in range(10)
            for fields in outcomes
        ],
    )
    upkeep = upkeep_of(history, clock)
    clock.advance(3 * HOUR_S)
    await upkeep.roll_up()
    for width_s in (60, HOUR_S):
        found = await history.read(start_s, start_s + HOUR_S, EVERYTHING, width_s, ROUTELESS)
        assert sorted((point.calls, point.series.http_status_class) for point in found) == [
            (20, ""),
            (20, "2xx"),
            (20, "4xx"),
        ]
        for by, where in (
            (None, EVERYTHING),
            (("http_route",), EVERYTHING),
            (ROUTELESS, SeriesFilter(http_route="/1")),
        ):
            found = await history.read(start_s, start_s + HOUR_S, where, width_s, by)
            assert {point.calls for point in found} == {2}


async def test_the_duties_are_taken_over_when_their_holder_dies(postgres_store: Any, clock: ManualClock) -> None:
    """While one process is at them the others leave them alone; when it is gone they go on within seconds."""
    history: SqlHistory = postgres_store.history(now_ns=clock, **AT_ONCE)
    await history.start()
    engine = sqlalchemy.create_engine(postgres_store.url)
    holder = engine.connect()
    assert POSTGRES.try_lock_upkeep(holder)
    upkeep = upkeep_of(history, clock)
    await history.commit([], [red_point(start_s=NOW_S - 120)])
    clock.advance(1)

    async def starts() -> set[int]:
        return {point.start_s % 60 for point in await history.read(0, 2**40, EVERYTHING, 60)}

    before = await starts()
    await upkeep.start()
    await asyncio.sleep(0.3)  # a dozen rounds
    assert await starts() == before != {0}
    POSTGRES.interrupt(holder.connection.driver_connection)  # gone without a word, its transaction still open

    async def is_rolled_up() -> bool:
        return await starts() == {0}

    await eventually(is_rolled_up, timeout_s=5)
    holder.invalidate()
    holder.close()
    engine.dispose()
    await upkeep.stop()
    await history.stop()


async def test_the_oldest_figures_go_first_and_the_finest_of_them_when_space_is_short(
    history: SqlHistory, clock: ManualClock
) -> None:
    """Never the last hour of the finest tier, nor what is not rolled up; hours stay where minutes had to go."""
    points = [red_point(start_s=NOW_S - age_s) for age_s in range(0, 3 * DAY_S, 1_800)]
    for first in range(0, len(points), 30):
        await history.commit([], points[first : first + 30])
    counters = Counters()
    limits = {"min_free_bytes": 2**62, "warn_free_bytes": 2**62, "max_database_bytes": 1}
    settings = StorageSettings(**{**AT_ONCE, **limits, "points_retention_s": 10 * DAY_S})
    upkeep = build_upkeep(settings, history, counters, now_ns=clock)
    await upkeep.delete_expired()
    assert counters.total("storage_thinnings") == 0
    for _ in range(3):
        clock.advance(1)
        await upkeep.roll_up()
    await upkeep.delete_expired()
    assert counters.total("storage_thinnings") > 3
    kept = {tier.width_s: tier.since_s for tier in await history.kept()}
    assert kept[60] <= clock.now_s - DAY_S < kept[10] <= clock.now_s - HOUR_S
    assert kept[HOUR_S] <= NOW_S - 30 * DAY_S
    found = [*await history.read(0, 2**40, EVERYTHING, HOUR_S)]
    assert totals_of(found, HOUR_S) == totals_of(points, HOUR_S)
    assert counters.gauges()["storage_database_bytes", ()] > 0


async def test_nothing_goes_before_its_age_while_there_is_space(history: SqlHistory, clock: ManualClock) -> None:
    """With the limits as they come, thinning does not happen, and the size of the database is shown."""
    await history.commit([], [red_point(start_s=NOW_S - DAY_S)])
    counters = Counters()
    upkeep = build_upkeep(StorageSettings(**AT_ONCE), history, counters, now_ns=clock)
    await upkeep.roll_up()
    await upkeep.delete_expired()
    assert counters.total("storage_thinnings") == 0
    assert (await history.kept())[0].since_s <= NOW_S - DAY_S
    assert ("storage_due_rollups", ()) in counters.gauges()


def test_the_guard_warns_before_figures_have_to_go(capsys: pytest.CaptureFixture[str]) -> None:
    """Once for each time that space becomes short; by free bytes where they are known, else by the size allowed."""
    guard = DiskGuard(StorageSettings(warn_free_bytes=100, min_free_bytes=50))
    verdicts = [guard.is_too_full(Space(1, free)) for free in (200, 99, 60, 49, 200, 99)]
    assert verdicts == [False, False, False, True, False, False]
    assert capsys.readouterr().out.count("runs out of space") == 2
    guard = DiskGuard(StorageSettings(max_database_bytes=1_000))
    assert [guard.is_too_full(Space(size, None)) for size in (900, 901, 1_001)] == [False, False, True]
    assert capsys.readouterr().out.count("runs out of space") == 1
    assert not DiskGuard(StorageSettings()).is_too_full(Space(2**60, None))


async def test_a_bucket_that_cannot_be_read_keeps_no_other_from_being_rolled_up(
    history: SqlHistory, clock: ManualClock
) -> None:
    """One row that a disk or a stranger spoilt stays what it is; everything else goes on, deleting included."""
    starts_s = [NOW_S // HOUR_S * HOUR_S - hours * HOUR_S for hours in (1, 2, 3)]
    await history.commit([], [red_point(start_s=start_s) for start_s in starts_s])
    spoil = sqlalchemy.text("UPDATE red_points SET durations = :raw WHERE start_s = :start_s")
    await history.database.write(
        lambda connection: connection.execute(spoil, {"raw": b"?", "start_s": starts_s[1]}).rowcount
    )
    upkeep = upkeep_of(history, clock)
    clock.advance(60)
    assert await upkeep.roll_up() == 4
    assert await upkeep.roll_up() == 0
    for start_s, calls in zip(starts_s, (1, None, 1), strict=True):
        if calls:
            found = await history.read(start_s, start_s + HOUR_S, EVERYTHING, HOUR_S)
            assert [(point.start_s, point.calls) for point in found] == [(start_s, calls)]
    await upkeep.delete_expired()


async def test_what_a_clock_that_is_ahead_marked_is_rolled_up_all_the_same(store: Any, clock: ManualClock) -> None:
    """Processors whose clocks disagree a little wait for late data alike; a mark of tomorrow is not waited for."""
    ahead = ManualClock(NOW_S)
    history = store.history(now_ns=ahead, **AT_ONCE)
    await history.start()
    upkeep = upkeep_of(history, clock, rollup_grace_s=30)
    for ahead_s, is_due in ((0, False), (40, False), (20 * HOUR_S, True)):
        ahead.advance(clock.now_s + ahead_s - ahead.now_s)
        await history.commit([], [red_point(start_s=NOW_S - 2 * HOUR_S)])
        assert bool(await upkeep.roll_up()) is is_due
        clock.advance(HOUR_S)
        assert await upkeep.roll_up()
    await history.stop()


async def test_a_clock_that_is_years_ahead_deletes_nothing(store: Any) -> None:
    """A machine that takes everything for too old leaves it alone, says so, and deletes again once it is put right."""
    clock, counters = ManualClock(time.time()), Counters()
    history = store.history(**AT_ONCE)
    await history.start()
    await history.commit([b"1" * 16], [red_point(start_s=clock.now_s - HOUR_S)])
    now_s = clock.now_s
    clock.advance(3 * 365 * DAY_S)
    upkeep = build_upkeep(StorageSettings(**{**AT_ONCE, "max_clock_skew_s": 600}), history, counters, now_ns=clock)
    if store.kind == "sqlite":
        await upkeep.clock.check()  # the only clock there is: see below
    else:
        with pytest.raises(StorageUnavailableError, match=r"94\d{6} s ahead of that of PostgreSQL"):
            await upkeep.clock.check()
        await upkeep.start()
        await asyncio.sleep(0.3)
        assert [point.calls for point in await history.read(0, now_s, EVERYTHING)] == [1]
        assert counters.gauges()["storage_clock_skew_s", ()] == pytest.approx(3 * 365 * DAY_S, abs=600)
        clock.advance(-3 * 365 * DAY_S - 7_200)
        with pytest.raises(StorageUnavailableError, match="s behind that of PostgreSQL"):
            await upkeep.clock.check()
        clock.advance(7_200)
        await upkeep.clock.check()
        await upkeep.stop()
    await history.stop()


async def test_a_clock_that_jumps_years_ahead_on_sqlite_is_believed_after_a_day(
    sqlite_store: Any, clock: ManualClock
) -> None:
    """Through restarts, and with what was committed by the wrong time; put right in between, nothing is lost."""
    history = sqlite_store.history(now_ns=clock, **AT_ONCE)
    await history.start()
    counters = Counters()

    async def tend() -> bool:
        """One round of a process that has just been started."""
        upkeep = build_upkeep(StorageSettings(**AT_ONCE), history, counters, now_ns=clock)
        await upkeep.roll_up()
        is_right = await upkeep.clock.is_right()
        if is_right:
            await upkeep.delete_expired()
        return is_right

    async def calls() -> int:
        return sum(point.calls for point in await history.read(0, 2**40, EVERYTHING))

    await history.commit([], [red_point(start_s=NOW_S - HOUR_S)])
    for days in (0, 1, 29):
        clock.advance(days * DAY_S)
        assert await tend()
    for hours in (0, 1, 22):
        clock.advance((0 if hours else 3 * 365 * DAY_S) + hours * HOUR_S)
        await history.commit([], [red_point(start_s=clock.now_s)])
        assert not await tend()
    assert counters.total("storage_clock_doubts") == 3
    clock.advance(-3 * 365 * DAY_S - 23 * HOUR_S)
    assert await tend()
    assert await calls() == 4
    for hours, is_believed in ((0, False), (12, False), (12, True)):
        clock.advance((0 if hours else 3 * 365 * DAY_S) + hours * HOUR_S)
        assert await tend() is is_believed
    assert await calls() < 4
    await history.stop()


async def test_what_each_tier_takes_up_is_told(history: SqlHistory, clock: ManualClock) -> None:
    """With its indexes and all of its partitions; together they are no more than the database."""
    counters = Counters()
    upkeep = build_upkeep(StorageSettings(**AT_ONCE), history, counters, now_ns=clock)
    assert not any(name == "storage_tier_bytes" for name, _ in counters.gauges()), "before it is known"
    await history.commit([], [red_point(f"s{number}", clock.now_s - 60) for number in range(2_000)])
    await upkeep.delete_expired()
    gauges = counters.gauges()
    sizes = {dict(labels)["tier"]: value for (name, labels), value in gauges.items() if name == "storage_tier_bytes"}
    assert set(sizes) == {"finest", "medium", "coarse", "traces"}
    assert sizes["finest"] > 2_000 * 40
    assert sum(sizes.values()) <= gauges["storage_database_bytes", ()]
    kept = {dict(labels)["tier"]: value for (name, labels), value in gauges.items() if "retention" in name}
    assert kept["finest"] == StorageSettings(**AT_ONCE).points_retention_s
