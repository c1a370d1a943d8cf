"""Whatever happens in whatever order, every tier answers with the sums of a ten-line reference."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import sqlalchemy
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from storage.component import build_upkeep
from storage.history import SqlHistory
from storage.ports import SeriesFilter
from storage.retirement import retire_partitions, retire_rows
from storage.rollups import Bucket, Gathered, OutdatedError, due_buckets, gather
from storage.rollups import store as store_rows
from storage.settings import StorageSettings
from storage.tiers import COARSE
from storage.upkeep import Upkeep
from telemetry import Counters, RedPoint
from tests.support.doubles import ManualClock
from tests.support.red_points import Totals, red_point, totals_of

WIDTHS = (10, 60, 300)
TINY = {
    "medium_resolution_s": 60,
    "coarse_resolution_s": 300,
    "points_retention_s": 600,
    "medium_retention_s": 1_800,
    "coarse_retention_s": 7_200,
    "rollup_grace_s": 5,
    "retention_chunk_rows": 3,
    "min_free_bytes": 0,
}
START_S = 1_700_000_000 // 3_600 * 3_600
EVERYTHING = SeriesFilter()
SUMMARIES = ("red_summaries_medium", "red_summaries_coarse")


def reference(points: list[RedPoint], width_s: int, start_s: int, end_s: int) -> Totals:
    """All that this file is about, in one line: the points of the buckets that lie in [start_s, end_s), added up."""
    return totals_of((point for point in points if start_s <= point.start_s < end_s), width_s)


def without_routes(points: Iterable[RedPoint]) -> list[RedPoint]:
    """What somebody sees to whom only the services matter."""
    return [replace(point, series=point.series._replace(http_route="")) for point in points]


class World:
    """A history, its upkeep, and what was committed to it."""

    def __init__(self, history: SqlHistory, clock: ManualClock) -> None:
        self.history, self.clock = history, clock
        self.upkeep: Upkeep = build_upkeep(StorageSettings(**TINY), history, Counters(), now_ns=clock)
        self.points: list[RedPoint] = []
        self.remembered: Gathered | None = None

    async def commit(self, age_s: int, series: int, calls: int) -> None:
        start_s, route = self.clock.now_s - age_s, f"/{(age_s + calls) % 3}"
        points = [red_point(f"s{series}", start_s, calls, calls // 2, duration_ms=1 + age_s, http_route=route)]
        await self.history.commit([], points)
        self.points += points

    async def commit_and_crash(self, age_s: int) -> None:
        """Go away after the last statement, before the transaction is committed."""

        def job(connection: Connection) -> None:
            self.history._commit([], [red_point("s0", self.clock.now_s - age_s)], self.clock.now_s, connection)
            raise ConnectionAbortedError

        await self.crash(job)

    async def roll_one(self, ending: str) -> None:
        """Roll the first bucket up that is due: in one go, up to half of it, or up to a crash before the commit."""
        database, tiers = self.history.database, self.history.tiers
        look = partial(due_buckets, tiers=tiers, now_s=self.clock.now_s, grace_s=0, at_most=1)
        for bucket in await database.read(look):
            gathered = await self.gather(bucket)
            if ending == "half":
                self.remembered = gathered
            elif gathered is not None and ending == "crash":

                def job(connection: Connection, gathered: Gathered = gathered) -> None:
                    self.store(gathered)(connection)
                    raise ConnectionAbortedError

                await self.crash(job)
            elif gathered is not None:
                await database.write(self.store(gathered))

    async def finish(self) -> None:
        """Write what another holder of the lock had gathered, however long ago."""
        if self.remembered is not None:
            gathered, self.remembered = self.remembered, None
            try:
                await self.history.database.write(self.store(gathered))
            except OutdatedError:
                pass

    async def gather(self, bucket: Bucket) -> Gathered | None:
        look = partial(gather, dialect=self.history.database.dialect, tiers=self.history.tiers, bucket=bucket)
        return await self.history.database.read(partial(look, catalog=self.history.catalog))

    def store(self, gathered: Gathered) -> Callable[[Connection], int]:
        keep = partial(store_rows, dialect=self.history.database.dialect, tiers=self.history.tiers, gathered=gathered)
        return partial(keep, catalog=self.history.catalog, writer=2, now_s=self.clock.now_s)

    async def crash(self, job: Callable[[Connection], None]) -> None:
        with pytest.raises(Exception, match=r"ConnectionAbortedError|unavailable"):
            await self.history.database.write(job)

    async def retire(self, rank: int, age_s: int) -> None:
        """Delete what is older than `age_s`, which is before its time, as when the disk fills."""
        await self.upkeep._retire(rank, self.clock.now_s - age_s)

    async def retire_a_little(self, rank: int, age_s: int) -> None:
        """Crash after the first transaction of deleting."""
        before_s, tiers = self.clock.now_s - age_s, self.history.tiers
        if self.history.database.dialect.is_partitioned:
            step = partial(retire_partitions, tiers=tiers, rank=rank, before_s=before_s)
        else:
            step = partial(retire_rows, tiers=tiers, rank=rank, before_s=before_s, max_rows=1)
        await self.history.database.write(step)

    async def check(self) -> None:
        """Every tier holds the reference, and so does the sum of all tiers."""
        kept = await self.history.kept()
        gone_s = kept[COARSE].since_s
        assert [tier.since_s for tier in kept] == sorted((tier.since_s for tier in kept), reverse=True)
        for tier in kept:
            found = [*await self.history.read(0, 2**40, EVERYTHING, tier.width_s)]
            since_s = max(tier.since_s, gone_s)
            inside = [point for point in found if point.start_s >= since_s]
            assert totals_of(inside, tier.width_s) == reference(self.points, tier.width_s, since_s, 2**40)
            older = [point for point in found if gone_s <= point.start_s < since_s]
            summed = without_routes(await self.history.read(0, 2**40, EVERYTHING, tier.width_s, by={"service_name"}))
            assert totals_of(summed, WIDTHS[COARSE]) == totals_of(without_routes(found), WIDTHS[COARSE])
            assert totals_of(older, WIDTHS[COARSE]) == reference(self.points, WIDTHS[COARSE], gone_s, since_s)

    async def check_range(self, age_s: int, length_s: int, width_s: int) -> None:
        """A range from anywhere to anywhere is the sum of the buckets that begin in it."""
        kept = await self.history.kept()
        start_s = (self.clock.now_s - age_s) // 10 * 10
        if start_s >= kept[0].since_s:
            found = [*await self.history.read(start_s, start_s + length_s, EVERYTHING, width_s)]
            wanted = reference(self.points, 10**6, start_s, start_s + -(-length_s // 10) * 10)
            assert totals_of(found, 10**6) == wanted
            summed = await self.history.read(start_s, start_s + length_s, EVERYTHING, width_s, by={"service_name"})
            assert totals_of(without_routes(summed), 10**6) == totals_of(without_routes(found), 10**6)


AGES = st.integers(0, 900) | st.sampled_from([0, 0, 1, 2_000, 4_000])
STEPS = st.one_of(
    st.tuples(st.just("commit"), AGES, st.integers(0, 2), st.integers(1, 3)),
    st.tuples(st.just("commit_and_crash"), AGES),
    st.tuples(st.just("advance"), st.sampled_from([1, 17, 65, 300, 700, 2_500])),
    st.tuples(st.just("roll_one"), st.sampled_from(["done", "done", "half", "crash"])),
    st.tuples(st.just("finish")),
    st.tuples(st.just("roll_up")),
    st.tuples(st.just("expire")),
    st.tuples(st.just("retire"), st.integers(0, 2), st.sampled_from([0, 100, 700, 2_000])),
    st.tuples(st.just("retire_a_little"), st.integers(0, 2), st.sampled_from([0, 100, 700, 2_000])),
    st.tuples(st.just("check_range"), AGES, st.integers(1, 2_000), st.sampled_from(WIDTHS)),
)


async def play(world: World, steps: list[tuple[Any, ...]]) -> None:
    upkeep = {"roll_up": world.upkeep.roll_up, "expire": world.upkeep.delete_expired}
    for name, *arguments in steps:
        if name == "advance":
            world.clock.advance(*arguments)
        else:
            action: Callable[..., Any] = upkeep.get(name) or getattr(world, name)
            await action(*arguments)
    await world.check()
    await world.finish()
    world.clock.advance(1_000)
    await world.upkeep.roll_up()
    await world.check()
    await world.upkeep.delete_expired()
    await world.check()


@pytest.fixture
async def empty_world(store: Any) -> AsyncIterator[Callable[[], Any]]:
    """Make worlds on one database, each empty; a new database for each would take most of the time."""
    clock = ManualClock(START_S)
    history = store.history(now_ns=clock, **TINY)
    await history.start()

    def empty(connection: Connection) -> None:
        names = ("red_points", "red_points_medium", "red_points_coarse", *SUMMARIES, "rollups_due", "batches", "series")
        for name in names:
            connection.execute(sqlalchemy.text(f"DELETE FROM {name}"))
        connection.execute(sqlalchemy.text("UPDATE tiers SET retired_to_s = 0, cleared_to_s = 0"))

    async def make() -> World:
        await history.database.write(empty)
        history.catalog.forget_noted()
        clock.advance(START_S - clock.now_s)
        return World(history, clock)

    yield make
    await history.stop()


LATE_FOR_EVERY_TIER = [
    ("commit", 0, 0, 2),
    ("advance", 2_500),
    ("roll_up",),
    ("advance", 17),
    ("roll_up",),
    ("expire",),
    ("retire", 1, 0),
    ("commit", 2_517, 0, 1),
    ("roll_one", "half"),
    ("commit", 2_507, 0, 1),
    ("finish",),
    ("check_range", 2_517, 300, 300),
]


LATE_AGAIN = [
    ("commit", 0, 0, 2),
    ("advance", 2_500),
    ("roll_up",),
    ("advance", 17),
    ("roll_up",),
    ("retire", 0, 700),
    ("retire", 1, 700),
    ("retire", 1, 700),
    ("commit", 2_517, 0, 1),
    ("advance", 17),
    ("roll_up",),
    ("advance", 17),
    ("roll_up",),
    ("commit", 2_551, 0, 1),
]
OVERTAKEN = [
    ("commit", 0, 0, 1),
    ("advance", 65),
    ("roll_one", "half"),
    ("commit", 60, 0, 2),
    ("roll_one", "done"),
    ("finish",),
    ("check_range", 120, 300, 60),
]
HALF_DELETED = [
    *(("commit", age_s, series, 1) for age_s in (1_900, 1_980) for series in range(3)),
    ("advance", 2_500),
    ("roll_up",),
    ("advance", 17),
    ("roll_up",),
    ("retire", 0, 0),
    ("retire_a_little", 1, 0),
    ("retire_a_little", 1, 0),
    ("commit", 4_417, 0, 1),
    ("roll_up",),
]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(LATE_FOR_EVERY_TIER)
@example(LATE_AGAIN)
@example(OVERTAKEN)
@example(HALF_DELETED)
@given(st.lists(STEPS, max_size=25))
async def test_any_course_of_events_ends_in_the_sums_of_the_reference(
    empty_world: Callable[[], Any], steps: list[tuple[Any, ...]]
) -> None:
    """Late points, crashes before a commit, rolling up by halves, deletion before its time, reads at every tier."""
    await play(await empty_world(), steps)
