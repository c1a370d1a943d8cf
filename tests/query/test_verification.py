"""The live window answers only what the history confirms."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from query import Query, QuerySettings
from storage.component import build_in_process_live_feed, build_sqlite_history
from storage.in_process_live_feed import InProcessLiveFeed
from storage.live_window import CallTotal
from storage.ports import History
from storage.settings import StorageSettings
from telemetry import Counters, SeriesKey
from tests.support.calls import point
from tests.support.doubles import ManualClock
from tests.support.memory_history import MemoryHistory
from tests.support.query_world import NOW_S, World

CHURN = SeriesKey("churn")
WARNING = "the live view and the history differ, so the history answers"


@pytest.fixture
async def history(tmp_path: Path) -> AsyncIterator[History]:
    """A SQLite history, as several processes may share it."""
    made = build_sqlite_history(StorageSettings(), f"sqlite:///{tmp_path / 'history.db'}")
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW_S + 0.5)


def feed_at(clock: ManualClock) -> InProcessLiveFeed:
    return build_in_process_live_feed(StorageSettings(), Counters(), now_ns=clock)


async def test_two_processes_that_share_a_history_but_no_feed_do_not_answer_from_half(
    history: History, clock: ManualClock
) -> None:
    """Each window holds half of the calls; both soon answer with all of them, and say once what to set."""
    feeds = [feed_at(clock), feed_at(clock)]
    queries = [Query(QuerySettings(), history, feed, clock) for feed in feeds]
    for feed in feeds:
        await feed.start()
    with capture_logs() as logs:
        for _ in range(60):
            clock.advance(1)
            for number, feed in enumerate(feeds):
                points = [point(CHURN, clock.now_s, [0.1], errors=number)]
                await history.commit([], points)
                await feed.publish(points)
            if clock.now_s % 5 == 0:
                await asyncio.gather(*(query.red(clock.now_s - 30, clock.now_s + 1, 1) for query in queries))
        for query in queries:
            answer = await query.red(clock.now_s - 39, clock.now_s + 1, 1)
            recent = await query.red(clock.now_s - 9, clock.now_s + 1, 1)
            assert (answer.source, answer.items[0].total.calls, answer.items[0].total.errors) == ("history", 82, 41)
            assert (recent.source, recent.items[0].total.calls) == ("history", 22)
    warnings = [entry for entry in logs if entry["event"] == WARNING]
    assert len(warnings) == 2, "one for each query"
    assert "MODELWATCH_LIVE_URL for every process" in warnings[0]["advice"]
    for feed in feeds:
        await feed.stop()


async def test_a_span_dated_ahead_is_counted_though_the_feed_began_anew_before_its_time(
    history: History, clock: ManualClock
) -> None:
    """A restart loses it from the window, which does not know; the history answers for its time, the window after."""
    feed = feed_at(clock)
    await feed.start()
    ahead = [point(CHURN, NOW_S + 125, [0.1])]
    await history.commit([], ahead)
    await feed.publish(ahead)
    await feed.stop()
    feed = feed_at(clock)
    await feed.start()
    query = Query(QuerySettings(), history, feed, clock)
    clock.advance(150)
    answer = await query.red(NOW_S + 100, NOW_S + 150, 1)
    assert (answer.source, answer.items[0].total.calls) == ("history", 1)
    later = await query.red(NOW_S + 130, NOW_S + 150, 1)
    assert (later.source, later.items) == ("live", ())
    await feed.stop()


async def test_a_span_dated_ahead_into_the_bucket_of_the_start_is_counted_without_a_warning(
    history: History, clock: ManualClock
) -> None:
    """The window claims a part of that bucket and lacks a call that may be in either part, so it gives up all of it."""
    clock.advance(2)
    await history.commit([], [point(CHURN, NOW_S + 5, [0.1])])
    feed = feed_at(clock)
    await feed.start()
    query = Query(QuerySettings(), history, feed, clock)
    clock.advance(30)
    with capture_logs() as logs:
        answer = await query.red(NOW_S + 4, NOW_S + 20, 1)
    assert (answer.source, answer.items[0].total.calls) == ("history", 1)
    assert (await query.red(NOW_S + 10, NOW_S + 20, 1)).source == "live"
    assert not [entry for entry in logs if entry["event"] == WARNING]
    await feed.stop()


async def test_each_bucket_is_compared_once(world: World) -> None:
    """However many ask: the first question compares what has settled, later ones only what settled since."""
    await world.commit(*(point(CHURN, NOW_S - age_s, [0.1]) for age_s in range(900)))
    for _ in range(21):
        await asyncio.gather(*(world.query.red(NOW_S - 300, NOW_S + 1, step_s) for step_s in range(1, 9)))
        world.advance(1)
    assert world.history.comparisons == [
        (NOW_S - 900, NOW_S - 20),
        (NOW_S - 20, NOW_S - 10),
        (NOW_S - 10, NOW_S),
    ]


async def test_a_commit_on_its_way_to_the_window_is_no_difference(world: World) -> None:
    """The history has a commit first; the window is looked at again before it is judged."""
    late = [point(CHURN, NOW_S - 50, [0.1])]
    await world.history.commit([], late)

    async def publish_soon() -> None:
        await asyncio.sleep(0.1)
        await world.feed.publish(late)

    publishing = asyncio.create_task(publish_soon())
    answer = await world.query.red(NOW_S - 60, NOW_S + 1, 1)
    await publishing
    assert (answer.source, answer.items[0].total.calls) == ("live", 1)


async def test_a_window_that_agrees_for_a_minute_is_believed_again(world: World) -> None:
    """One difference moves the claim, a second one takes it away, a minute with calls that agree gives it back."""

    async def source_of_recent() -> str:
        return (await world.query.red(world.clock.now_s - 9, world.clock.now_s + 1, 1)).source

    sources = []
    for number in range(15):
        both, alone = point(CHURN, world.clock.now_s - 20, [0.1]), point(CHURN, world.clock.now_s - 20, [0.2])
        await world.commit(both)
        if number in (1, 3):
            await world.history.commit([], [alone])
        sources.append(await source_of_recent())
        world.advance(10)
    assert sources == ["live"] * 4 + ["history"] * 6 + ["live"] * 5


async def test_the_window_answers_unverified_while_the_history_is_away(world: World) -> None:
    """A comparison that fails breaks no answer, is not tried at every question, and is made up for."""
    await world.commit(point(CHURN, NOW_S - 50, [0.1]))
    await world.history.commit([], [point(CHURN, NOW_S - 50, [0.1])])
    world.history.is_down = True
    for step_s in range(1, 9):
        answer = await world.query.red(NOW_S - 60, NOW_S + 1, step_s)
        assert (answer.source, answer.items[0].total.calls) == ("live", 1)
    assert len(world.history.comparisons) == 1
    world.history.is_down = False
    world.advance(10)
    answer = await world.query.red(NOW_S - 60, NOW_S + 1, 1)
    assert (answer.source, answer.items[0].total.calls) == ("history", 2)


async def test_a_silent_history_holds_up_the_live_view_once_and_briefly(world: World) -> None:
    """Questions wait for a comparison for a moment only, and do not start another beside it."""
    gate = asyncio.Event()

    class Silent(MemoryHistory):
        async def call_totals(self, start_s: int, end_s: int) -> dict[int, CallTotal]:
            self.comparisons.append((start_s, end_s))
            await gate.wait()
            return {}

    world.history.__class__ = Silent
    began = time.monotonic()
    for second in range(5):
        assert (await world.query.red(NOW_S - 60, NOW_S + 1 + second, 1)).source == "live"
        world.advance(5)
    assert time.monotonic() - began < 3
    assert len(world.history.comparisons) == 1
    gate.set()
    await asyncio.sleep(0)


async def test_a_clock_that_is_put_back_has_everything_compared_anew(world: World) -> None:
    """What was compared while the clock was ahead had not been filled yet."""
    world.advance(600)
    await world.query.red(world.clock.now_s - 60, world.clock.now_s, 1)
    world.advance(-500)
    await world.history.commit([], [point(CHURN, NOW_S + 55, [0.1])])
    answer = await world.query.red(NOW_S + 41, NOW_S + 101, 1)
    assert (answer.source, answer.items[0].total.calls) == ("history", 1)
