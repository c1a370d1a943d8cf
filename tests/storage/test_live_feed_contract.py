"""What every live feed promises, in one process and over Redis."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from storage.in_process_live_feed import InProcessLiveFeed
from storage.redis_live_feed import RedisLiveFeed
from storage.settings import StorageSettings
from telemetry import Counters, RedPoint
from tests.support.red_points import random_points, red_point, totals_of
from tests.support.waiting import eventually

Feed = InProcessLiveFeed | RedisLiveFeed


def now_s() -> int:
    return int(time.time())


def held(feed: Feed) -> list[RedPoint]:
    return list(feed.window.points(now_s() - 1_000, now_s() + 1_000))


def recent_points(seed: int, count: int) -> list[RedPoint]:
    """Random points of the last half minute."""
    points = random_points(seed, count)
    offset_s = now_s() - max(point.start_s for point in points)
    return [
        RedPoint(point.series, point.start_s + offset_s, point.calls, point.errors, point.durations) for point in points
    ]


async def test_what_is_published_is_in_the_window(feed: Feed) -> None:
    """Points of one series and second are added up; publishing from many tasks loses nothing."""
    points = recent_points(1, 300)
    await asyncio.gather(*(feed.publish(points[first : first + 15]) for first in range(0, 300, 15)))
    await eventually(lambda: totals_of(held(feed)) == totals_of(points))
    assert len(held(feed)) == len(totals_of(points))


async def test_a_fresh_feed_is_complete_from_the_next_seconds_on(make_feed: Callable[..., Feed]) -> None:
    """Right after the start the window claims what is to come, and nothing of the second of the start."""
    feed, before = make_feed(), now_s()
    await feed.start()
    since_s = feed.window.complete_since_s
    assert since_s is not None
    assert before < since_s <= now_s() + 2
    assert feed.window.covers(since_s, now_s())
    assert not feed.window.covers(since_s - 1, now_s())
    await feed.stop()


async def test_a_reset_moves_completeness_past_the_current_second(feed: Feed, counters: Counters) -> None:
    """Points from before stay readable, but the window no longer claims to have them all."""
    await feed.publish([red_point(start_s=now_s())])
    before = now_s()
    await feed.reset()
    await eventually(lambda: (feed.window.complete_since_s or 0) > before)
    assert (feed.window.complete_since_s or 0) <= now_s() + 2
    assert sum(point.calls for point in held(feed)) == 1
    assert counters.total("live_feed_resets") >= 1


async def test_points_outside_the_window_are_left_out(make_feed: Callable[..., Feed]) -> None:
    """Neither what is older than the window nor what a broken clock dates far ahead takes up memory."""
    feed = make_feed(live_window_s=60)
    await feed.start()
    now = now_s()
    await feed.publish([red_point("old", now - 100), red_point("now", now), red_point("far ahead", now + 10_000)])
    await eventually(lambda: feed.window.point_count)
    assert [point.series.service_name for point in feed.window.points(now - 200, now + 20_000)] == ["now"]
    await feed.stop()


async def test_the_window_can_be_made_longer_while_it_runs(make_feed: Callable[..., Feed]) -> None:
    """What was left out before is not claimed; what comes now is held."""
    settings = StorageSettings(live_window_s=600)
    feed = make_feed(live_window_s=60)
    await feed.start()
    feed.use(settings)
    now = now_s()
    await feed.publish([red_point("old", now - 100)])
    await eventually(lambda: feed.window.point_count)
    assert [point.series.service_name for point in feed.window.points(now - 200, now)] == ["old"]
    assert not feed.window.covers(now - 100, now)
    await feed.stop()


async def test_names_are_cleaned_as_in_the_history(feed: Feed) -> None:
    """A service has one name, whichever source answers."""
    await feed.publish(
        [red_point("nul\0", now_s()), red_point("half \ud83d", now_s()), red_point("x" * 9_999, now_s())]
    )
    names = {"nul\ufffd", "half \ufffd", "x" * 1_024}
    await eventually(lambda: {point.series.service_name for point in held(feed)} == names)


async def test_a_feed_that_does_not_run_takes_everything_and_covers_nothing(make_feed: Callable[..., Feed]) -> None:
    """Publishing before the start and after the stop never raises; start-stop-start-stop works."""
    feed = make_feed()
    for _ in range(2):
        await feed.publish([red_point(start_s=now_s())])
        await feed.reset()
        await feed.start()
        assert feed.window.complete_since_s is not None
        await feed.stop()
        await feed.stop()
        assert feed.window.complete_since_s is None
        assert not feed.window.covers(now_s() + 10, now_s())


async def test_publishing_nothing_is_nothing(feed: Feed, counters: Counters) -> None:
    """An empty commit leaves the window as it is."""
    since_s = feed.window.complete_since_s
    await feed.publish([])
    assert feed.window.complete_since_s == since_s
    assert counters.total("live_feed_failures") == 0
