"""Old data goes, all of it and nothing else, beside writers that go on."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy import func, select

from storage.component import build_upkeep
from storage.history import SqlHistory
from storage.ports import AlreadyCommittedError, SeriesFilter
from storage.schema import red_summaries_medium, series
from storage.settings import StorageSettings
from storage.upkeep import Upkeep
from telemetry import Counters
from tests.support.doubles import ManualClock
from tests.support.red_points import random_points, red_point, totals_of
from tests.support.waiting import eventually

DAY_S = 86_400
EVERYTHING = SeriesFilter()
CHOSEN: dict[str, Any] = {
    "retention_chunk_rows": 7,
    "retention_interval_s": 0.05,
    "rollup_interval_s": 0.05,
    "rollup_grace_s": 0,
    "min_free_bytes": 0,
    "max_clock_skew_s": 1e12,  # the clock of the tests is not the server's
    "points_retention_s": 2 * 3_600,
    "medium_retention_s": 2 * DAY_S,
    "coarse_retention_s": 4 * DAY_S,
}
SETTINGS = StorageSettings(**CHOSEN)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_700_000_000 // 3_600 * 3_600)


@pytest.fixture
async def history(store: Any, clock: ManualClock) -> AsyncIterator[SqlHistory]:
    made: SqlHistory = store.history(now_ns=clock, **CHOSEN)
    await made.start()
    yield made
    await made.stop()


def upkeep_of(history: SqlHistory, clock: ManualClock, counters: Counters | None = None) -> Upkeep:
    return build_upkeep(SETTINGS, history, counters or Counters(), now_ns=clock)


async def tend(upkeep: Upkeep) -> int:
    """Do what the background would do until nothing is left to do."""
    while await upkeep.roll_up():
        pass
    return await upkeep.delete_expired()


async def row_counts(history: SqlHistory) -> list[int]:
    return await history.database.read(
        lambda connection: [count_rows(connection, tier.table) for tier in history.tiers]
    )


def count_rows(connection: sqlalchemy.Connection, table: sqlalchemy.Table) -> int:
    return connection.scalar(select(func.count()).select_from(table)) or 0


async def test_each_tier_goes_at_its_age_and_the_next_one_has_it(history: SqlHistory, clock: ManualClock) -> None:
    """As hours and days pass, a call is read at 10 s, then at a minute, then at an hour, and then not at all."""
    upkeep, start_s = upkeep_of(history, clock), clock.now_s
    await history.commit([], [red_point("early", start_s + 30), red_point("early", start_s + 70, calls=2)])
    for age_s, starts in (
        (3_600, [start_s + 30, start_s + 70]),
        (4 * 3_600, [start_s, start_s + 60]),
        (3 * DAY_S, [start_s]),
        (6 * DAY_S, []),
    ):
        clock.advance(start_s + age_s - clock.now_s)
        await tend(upkeep)
        assert [point.start_s for point in await history.read(0, 2**40, EVERYTHING)] == starts
    assert await row_counts(history) == [0, 0, 0]


async def test_a_retention_that_is_changed_counts_from_the_next_round_on(
    history: SqlHistory, clock: ManualClock
) -> None:
    """A shorter one deletes what is older, a longer one keeps what is still there."""
    upkeep, start_s = upkeep_of(history, clock), clock.now_s
    await history.commit([], [red_point("early", start_s + 30)])
    upkeep.use(SETTINGS.model_copy(update={"medium_retention_s": 3_600, "coarse_retention_s": 30 * DAY_S}))
    clock.advance(5 * 3_600)
    await tend(upkeep)
    assert [point.start_s for point in await history.read(0, 2**40, EVERYTHING)] == [start_s]
    clock.advance(6 * DAY_S)
    await tend(upkeep)
    assert [point.start_s for point in await history.read(0, 2**40, EVERYTHING)] == [start_s]
    upkeep.use(SETTINGS)
    await tend(upkeep)
    assert not list(await history.read(0, 2**40, EVERYTHING))


async def test_what_is_kept_of_a_tier_is_told(history: SqlHistory, clock: ManualClock) -> None:
    """`kept` says since when each width is there, and the oldest point is that of the coarsest tier that has it."""
    upkeep, start_s = upkeep_of(history, clock), clock.now_s
    await history.commit([], [red_point(start_s=start_s + 90)])
    assert [tier.since_s for tier in await history.kept()] == [0, 0, 0]
    clock.advance(3_600)
    await tend(upkeep)
    assert await history.oldest_s() == start_s + 90
    clock.advance(3 * 3_600)
    await tend(upkeep)
    finest, medium, coarse = await history.kept()
    assert start_s + 90 < finest.since_s <= clock.now_s - SETTINGS.points_retention_s
    assert coarse.since_s <= medium.since_s <= clock.now_s - SETTINGS.medium_retention_s
    assert await history.oldest_s() == start_s + 60


async def test_a_late_point_reaches_every_tier_that_has_its_time(history: SqlHistory, clock: ManualClock) -> None:
    """Also after the finest tier of that time is gone, and it leaves nothing behind there."""
    upkeep, start_s = upkeep_of(history, clock), clock.now_s
    await history.commit([], [red_point("a", start_s + 5)])
    for age_s in (4 * 3_600, 3 * DAY_S):
        clock.advance(start_s + age_s - clock.now_s)
        await tend(upkeep)
        await history.commit([], [red_point("a", start_s + 15), red_point("late", start_s + 15)])
        before = totals_of(await history.read(0, 2**40, EVERYTHING, 3_600), 3_600)
        await tend(upkeep)
        assert totals_of(await history.read(0, 2**40, EVERYTHING, 3_600), 3_600) == before
    assert await row_counts(history) == [0, 0, 2]
    assert await history.database.read(lambda connection: count_rows(connection, red_summaries_medium)) == 0
    assert {key[0].service_name: total[0] for key, total in before.items()} == {"a": 3, "late": 2}


async def test_partitions_are_dropped_whole_on_postgres(postgres_store: Any, clock: ManualClock) -> None:
    """No row is deleted by itself, and there are always partitions for the time ahead."""
    history: SqlHistory = postgres_store.history(now_ns=clock, **CHOSEN)
    await history.start()
    counters = Counters()
    upkeep = upkeep_of(history, clock, counters)
    for _ in range(30):
        await history.commit([], [red_point(start_s=clock.now_s)])
        clock.advance(1_800)
        await tend(upkeep)
    assert counters.total("storage_expired_rows") == 0
    assert counters.total("storage_dropped_partitions") > 20

    def names(connection: sqlalchemy.Connection) -> list[str]:
        return sqlalchemy.inspect(connection).get_table_names()

    found = await history.database.read(names)
    finest = [name for name in found if name.startswith("red_points_1")]
    assert 8 <= len(finest) <= 14
    assert max(finest).endswith(str((clock.now_s // 900 + 2) * 900))
    await history.stop()


async def test_batch_ids_are_known_until_their_age(history: SqlHistory, clock: ManualClock) -> None:
    """A batch is refused for `batch_ids_retention_s`, and forgotten after."""
    upkeep = upkeep_of(history, clock)
    await history.commit([b"old".ljust(16)], [])
    clock.advance(SETTINGS.batch_ids_retention_s)
    assert await tend(upkeep) == 0
    with pytest.raises(AlreadyCommittedError):
        await history.commit([b"old".ljust(16)], [])
    clock.advance(1)
    assert await tend(upkeep) == 1
    await history.commit([b"old".ljust(16)], [])


async def test_series_go_when_no_point_can_be_left_of_them(history: SqlHistory, clock: ManualClock) -> None:
    """A series in use stays for ever, one out of use goes some days after its last point, and may come back."""
    upkeep = upkeep_of(history, clock)

    async def count() -> int:
        return await history.database.read(lambda c: c.scalar(select(func.count()).select_from(series)) or 0)

    await history.commit([], [red_point("gone", clock.now_s)])
    for _ in range(9):
        await history.commit([], [red_point("busy", clock.now_s)])
        await tend(upkeep)
        assert {point.series.service_name for point in await history.read(0, 2**40, EVERYTHING)} >= {"busy"}
        clock.advance(DAY_S)
    assert await count() == 1
    await history.commit([], [red_point("gone", clock.now_s)])
    assert await count() == 2
    (found,) = await history.read(clock.now_s - 10, clock.now_s + 10, EVERYTHING)
    assert found.series.service_name == "gone"


async def test_upkeep_in_the_background_leaves_commits_exact(history: SqlHistory, clock: ManualClock) -> None:
    """Two at the same duties and a writer at once: every call is counted, at every width, and the old ones are gone."""
    rivals = [upkeep_of(history, clock) for _ in range(2)]
    for upkeep in rivals:
        await upkeep.start()
        await upkeep.start()
    old_s = clock.now_s - SETTINGS.points_retention_s - 3_600
    young = random_points(11, 200)
    shift_s = clock.now_s - 1_800 - young[0].start_s // 60 * 60
    for first in range(0, 200, 20):
        old = [red_point(f"s{number}", start_s=old_s + 60 * first) for number in range(20)]
        part = [red_point(p.series.service_name, p.start_s + shift_s, p.calls) for p in young[first : first + 20]]
        await history.commit([os.urandom(16)], [*part, *old])

    async def is_old_rolled_up() -> bool:
        found = await history.read(old_s, old_s + 3_600, EVERYTHING)
        return all(point.start_s % 60 == 0 for point in found)

    await eventually(is_old_rolled_up, timeout_s=20)
    for width_s in (10, 60, 3_600):
        found = [*await history.read(0, 2**40, EVERYTHING, width_s)]
        assert sum(point.calls for point in found) == sum(point.calls for point in young) + 200
    await asyncio.gather(*(upkeep.stop() for upkeep in rivals))


async def test_upkeep_outlives_a_history_that_is_gone_for_a_while(history: SqlHistory, clock: ManualClock) -> None:
    """A round that fails is tried again; start-stop-start-stop works."""
    upkeep = upkeep_of(history, clock)
    await history.stop()
    await upkeep.start()
    await history.start()
    await history.commit([b"old".ljust(16)], [])
    clock.advance(SETTINGS.batch_ids_retention_s + 1)

    async def is_forgotten() -> bool:
        try:
            await history.commit([b"old".ljust(16)], [])
        except AlreadyCommittedError:
            return False
        return True

    await eventually(is_forgotten)
    for _ in range(2):
        await upkeep.stop()
        await upkeep.start()
    await upkeep.stop()
    await upkeep.stop()
