"""Whatever happens to the processors, in whatever order, every figure ends as in a ten-line reference."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from storage.component import build_postgres_history, build_sqlite_history
from storage.history import SqlHistory
from storage.settings import StorageSettings
from storage.tiers import tiers_of
from tests.support.doubles import ManualClock
from tests.support.processor_world import AHEAD, MAX_LATE_S, Step, World

START_S = 1_700_000_000 // 3_600 * 3_600
HOUR_S = 3_600

Play = list[tuple[Any, ...]]
MakeWorld = Callable[[], Awaitable[World]]

AGES = st.one_of(
    st.integers(0, 30),
    st.sampled_from([0, 1, 59, 600, 900, HOUR_S, 7 * HOUR_S]),
    st.integers(MAX_LATE_S - 5, MAX_LATE_S + 5),
)
PAST = st.tuples(st.sampled_from(["shop", "search"]), st.integers(0, 2), AGES, st.booleans())
FUTURE = st.tuples(st.just(AHEAD), st.integers(0, 2), st.integers(-600, -1), st.booleans())
BATCHES = st.lists(PAST, min_size=1, max_size=4) | st.lists(FUTURE, min_size=1, max_size=2)
FAULTS = st.one_of(
    st.just(("",)),
    st.just(("lost acks",)),
    st.tuples(st.sampled_from(["crash", "fail"]), st.sampled_from([Step.BEFORE_COMMIT, Step.IN_COMMIT])),
    st.tuples(st.just("crash"), st.sampled_from([Step.AFTER_COMMIT, Step.AFTER_PUBLISH])),
    st.tuples(st.just("fail"), st.just(Step.AFTER_COMMIT)),
    st.tuples(st.just("hold"), st.sampled_from([Step.BEFORE_COMMIT, Step.AFTER_COMMIT, Step.AFTER_PUBLISH])),
)
PICKS = st.lists(st.integers(0, 7), min_size=1, max_size=5)
PAUSES = st.sampled_from([1, 1, 7, 70, 900, 2 * HOUR_S, 47 * HOUR_S, 72 * HOUR_S, 960 * HOUR_S])
SENDING = st.tuples(st.just("send"), BATCHES, st.integers(1, 3))
DELIVERY = st.builds(lambda which, picks, fault: ("deliver", which, picks, *fault), st.integers(0, 1), PICKS, FAULTS)
STEPS = st.one_of(
    SENDING,
    SENDING,
    DELIVERY,
    DELIVERY,
    DELIVERY,
    st.tuples(st.just("send_poison")),
    st.tuples(st.sampled_from(["release", "crash_held", "restart"]), st.integers(0, 1)),
    st.tuples(
        st.just("advance"), st.sampled_from([1, 1, 7, 70, 900, 2 * HOUR_S, 47 * HOUR_S, 72 * HOUR_S, 960 * HOUR_S])
    ),
    st.tuples(st.just("roll_up")),
    st.tuples(st.just("expire")),
)
COMMITTED_BUT_NOT_SHOWN: Play = [
    ("send", [("shop", 0, 0, False)], 2),
    ("advance", 1),
    ("deliver", 0, [0], "crash", Step.AFTER_COMMIT),
    ("deliver", 1, [0, 1]),
    ("send", [("shop", 0, 0, True)], 1),
]
OVERTAKEN_WHILE_IT_WAITS: Play = [
    ("send", [("shop", 0, 3, False), ("shop", 1, MAX_LATE_S, True)], 3),
    ("deliver", 0, [0], "hold", Step.BEFORE_COMMIT),
    ("advance", 70),
    ("deliver", 1, [0, 1], "lost acks"),
    ("roll_up",),
    ("crash_held", 0),
    ("deliver", 0, [2], "fail", Step.IN_COMMIT),
]
DONE_BY_BOTH: Play = [
    ("send", [("shop", 0, 0, False)], 1),
    ("deliver", 0, [0], "hold", Step.AFTER_COMMIT),
    ("deliver", 1, [0]),
    ("release", 0),
]
ANSWER_LOST: Play = [
    ("send", [("shop", 0, 0, False)], 1),
    ("deliver", 0, [0], "fail", Step.AFTER_COMMIT),
    ("advance", 1),
]
REMEMBERED_NO_MORE: Play = [
    ("send", [("shop", 0, 0, False)], 1),
    ("send", [(AHEAD, 0, -600, False)], 1),
    ("deliver", 0, [0, 1], "lost acks"),
    ("advance", 72 * HOUR_S),
    ("roll_up",),
    ("expire",),
    ("restart", 0),
    ("deliver", 0, [0, 1]),
]


async def play(world: World, steps: Play) -> None:
    """Do all that is asked for, then let everything be delivered, rolled up and expired."""
    world.clock.advance(60)  # the live window claims what is newer than its start
    for name, *arguments in steps:
        if name == "advance":
            world.clock.advance(*arguments)
        elif name == "roll_up":
            await world.upkeep.roll_up()
        elif name == "expire":
            await world.upkeep.delete_expired()
        elif name == "crash_held":
            await world.release(*arguments, is_crash=True)
        elif name.startswith("send"):
            getattr(world, name)(*arguments)
        else:
            await getattr(world, name)(*arguments)
    await world.drain()
    await world.check()
    for age_s in (100, 2 * HOUR_S, 72 * HOUR_S):
        world.clock.advance(age_s)
        await world.upkeep.roll_up()
        await world.upkeep.delete_expired()
        await world.check()


def _empty(connection: Connection) -> None:
    tables = [table.name for tier in tiers_of(StorageSettings()) for table in tier.tables]
    for name in (*tables, "rollups_due", "batches", "series"):
        connection.execute(sqlalchemy.text(f"DELETE FROM {name}"))
    connection.execute(sqlalchemy.text("UPDATE tiers SET retired_to_s = 0, cleared_to_s = 0"))


async def _worlds(history: SqlHistory, clock: ManualClock) -> AsyncIterator[MakeWorld]:
    """Make worlds on one database, each empty; a new database for each would take most of the time."""
    await history.start()
    made: list[World] = []

    async def end_last() -> None:
        if made:
            await made.pop().stop()

    async def make() -> World:
        await end_last()
        await history.database.write(_empty)
        history.catalog.forget_noted()
        clock.advance(START_S - clock.now_s)
        made.append(World(history, clock))
        await made[-1].start()
        return made[-1]

    yield make
    await end_last()
    await history.stop()


@pytest.fixture
async def on_sqlite(tmp_path: Path) -> AsyncIterator[MakeWorld]:
    clock = ManualClock(START_S)
    history = build_sqlite_history(StorageSettings(), f"sqlite:///{tmp_path}/model.db", now_ns=clock)
    async for make in _worlds(history, clock):
        yield make


@pytest.fixture
async def on_postgres(postgres: Any) -> AsyncIterator[MakeWorld]:
    clock = ManualClock(START_S)
    history = build_postgres_history(StorageSettings(), postgres.fresh_database(), now_ns=clock)
    async for make in _worlds(history, clock):
        yield make


FIXTURES_ARE_SHARED = (HealthCheck.function_scoped_fixture, HealthCheck.too_slow)


@settings(max_examples=40, deadline=None, suppress_health_check=FIXTURES_ARE_SHARED)
@example(COMMITTED_BUT_NOT_SHOWN)
@example(OVERTAKEN_WHILE_IT_WAITS)
@example(DONE_BY_BOTH)
@example(ANSWER_LOST)
@example(REMEMBERED_NO_MORE)
@given(st.lists(STEPS, max_size=25))
async def test_any_course_of_events_ends_in_the_counts_of_the_reference(on_sqlite: MakeWorld, steps: Play) -> None:
    """Duplicates, delays, crashes between any two steps, two processors, roll-ups and retention: all counts exact."""
    await play(await on_sqlite(), steps)


@settings(max_examples=8, deadline=None, suppress_health_check=FIXTURES_ARE_SHARED)
@example(COMMITTED_BUT_NOT_SHOWN)
@example(OVERTAKEN_WHILE_IT_WAITS)
@example(DONE_BY_BOTH)
@example(ANSWER_LOST)
@example(REMEMBERED_NO_MORE)
@given(st.lists(STEPS, max_size=25))
async def test_any_course_of_events_ends_in_the_counts_of_the_reference_on_postgres(
    on_postgres: MakeWorld, steps: Play
) -> None:
    """The same where the processors' transactions run side by side and old partitions are dropped."""
    await play(await on_postgres(), steps)
