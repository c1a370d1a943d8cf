"""The live feed when several share it, and when Redis is killed, frozen, emptied, full or fed nonsense."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import redis

from storage.component import build_redis_live_feed
from storage.redis_live_feed import RedisLiveFeed
from storage.settings import StorageSettings
from telemetry import Counters, RedPoint, StartError
from tests.support.ports import free_port
from tests.support.red_points import red_point
from tests.support.waiting import eventually

STREAM = StorageSettings().redis_stream
PUBLISH_LIMIT_S = 0.2 + 0.15
"""The timeout, and what a busy machine may add."""

Make = Callable[..., Awaitable[RedisLiveFeed]]


def now_s() -> int:
    return int(time.time())


def calls_of(feed: RedisLiveFeed, service: str) -> int:
    points = feed.window.points(now_s() - 100, now_s() + 100)
    return sum(point.calls for point in points if point.series.service_name == service)


def is_complete(feed: RedisLiveFeed) -> bool:
    return feed.window.complete_since_s is not None


def last_ms(admin: Any) -> int:
    """Return when the stream's last entry was added, in Unix milliseconds."""
    return int(admin.xrevrange(STREAM, count=1)[0][0].split(b"-")[0])


@pytest.fixture
def admin(redis_server: Any) -> Any:
    with redis.Redis.from_url(redis_server.url) as client:
        yield client


@pytest.fixture
async def started(redis_server: Any, counters: Counters) -> AsyncIterator[Make]:
    """Start feeds on the server; they are stopped after the test."""
    feeds: list[RedisLiveFeed] = []

    async def start(*, is_mirrored: bool = True, **settings: Any) -> RedisLiveFeed:
        wanted = StorageSettings(redis_retry_s=0.05, redis_retry_max_s=0.2, **settings)
        feed = build_redis_live_feed(wanted, redis_server.url, counters, is_mirrored=is_mirrored)
        await feed.start()
        feeds.append(feed)
        return feed

    yield start
    for feed in feeds:
        await feed.stop()


async def publish_timed(feed: RedisLiveFeed, point: RedPoint) -> float:
    started = time.monotonic()
    await feed.publish([point])
    return time.monotonic() - started


async def test_every_process_sees_what_every_writer_publishes(started: Make) -> None:
    """Two writers and two readers, one of them both: the same sums everywhere; a mere writer mirrors nothing."""
    both, reader, writer = await started(), await started(), await started(is_mirrored=False)
    second = now_s()
    for _ in range(20):
        await asyncio.gather(both.publish([red_point("a", second)]), writer.publish([red_point("a", second, calls=2)]))
    await eventually(lambda: calls_of(both, "a") == calls_of(reader, "a") == 60)
    assert writer.window.point_count == 0


async def test_a_reader_that_starts_later_replays_the_stream(started: Make) -> None:
    """It holds what the others hold, and claims completeness from the stream's first entry on."""
    writer = await started(is_mirrored=False)
    await writer.reset()
    first_s = now_s()
    for number in range(100):
        await writer.publish([red_point(f"service-{number % 7}", now_s())])
    late = await started()
    assert sum(calls_of(late, f"service-{number}") for number in range(7)) == 100
    assert late.window.complete_since_s is not None
    assert first_s < late.window.complete_since_s <= first_s + 3


async def test_a_stream_trimmed_at_its_beginning_claims_only_what_is_left(started: Make, admin: Any) -> None:
    """What was trimmed away began before the first entry that is left."""
    writer = await started(is_mirrored=False, redis_max_entries=100)
    for _ in range(450):
        await writer.publish([red_point("a", now_s())])
    assert 100 <= admin.xlen(STREAM) < 450
    first_left_s = int(admin.xrange(STREAM, count=1)[0][0].split(b"-")[0]) // 1_000
    late = await started()
    assert late.window.complete_since_s is not None
    assert late.window.complete_since_s > first_left_s


async def test_entries_older_than_the_window_are_trimmed(started: Make, admin: Any) -> None:
    """The stream does not grow with the age of the installation."""
    old_ms = (now_s() - 7_200) * 1_000
    with admin.pipeline() as pipeline:
        for number in range(500):
            pipeline.xadd(STREAM, {"reset": old_ms // 1_000}, id=f"{old_ms + number}-0")
        pipeline.execute()
    writer = await started(is_mirrored=False)
    await writer.publish([red_point("a", now_s())])
    assert admin.xlen(STREAM) <= 101


async def test_without_redis_a_feed_starts_and_comes_alive_when_redis_does(redis_server: Any, started: Make) -> None:
    """Redis is never the truth: nothing waits for it long."""
    redis_server.kill()
    begun = time.monotonic()
    feed = await started()
    assert time.monotonic() - begun < 3
    assert not is_complete(feed)
    assert await publish_timed(feed, red_point("lost", now_s())) < PUBLISH_LIMIT_S
    redis_server.start()
    await eventually(lambda: is_complete(feed))
    await eventually_published(feed, "found")


async def eventually_published(feed: RedisLiveFeed, service: str, reader: RedisLiveFeed | None = None) -> None:
    """Publish until a point arrives in the reader's window, as a processor at work does."""

    async def arrives() -> bool:
        await feed.publish([red_point(service, now_s())])
        await asyncio.sleep(0.01)
        return calls_of(reader or feed, service) > 0

    await eventually(arrives)


async def test_a_killed_redis_costs_the_processor_nothing_and_the_view_a_moment(
    redis_server: Any, started: Make, counters: Counters
) -> None:
    """Publishing returns at once and is counted; the window claims nothing; afterwards only what is certain."""
    writer, reader = await started(is_mirrored=False), await started()
    await writer.publish([red_point("before", now_s())])
    await eventually(lambda: calls_of(reader, "before") == 1)
    redis_server.kill()
    await eventually(lambda: not is_complete(reader))
    for _ in range(5):
        assert await publish_timed(writer, red_point("lost", now_s())) < PUBLISH_LIMIT_S
    assert counters.total("live_feed_failures") >= 5
    lost_at = now_s()
    redis_server.start()
    await eventually(lambda: is_complete(reader))
    assert (reader.window.complete_since_s or 0) > lost_at
    await eventually_published(writer, "after", reader)


async def test_the_stream_tells_of_a_loss_even_when_nothing_more_is_published(
    redis_server: Any, started: Make, admin: Any
) -> None:
    """The reset that is owed is written as soon as Redis is back, by itself."""
    writer = await started(is_mirrored=False)
    await writer.publish([red_point("before", now_s())])
    redis_server.freeze()
    assert await publish_timed(writer, red_point("lost", now_s())) < PUBLISH_LIMIT_S
    lost_at = now_s()
    redis_server.thaw()
    await eventually(lambda: b"reset" in admin.xrevrange(STREAM, count=1)[0][1])
    late = await started()
    assert (late.window.complete_since_s or 0) > lost_at


async def test_a_frozen_redis_holds_nobody_up(redis_server: Any, started: Make) -> None:
    """The first publishing waits for its timeout, the next not at all; the window stops claiming; all comes back."""
    writer, reader = await started(is_mirrored=False), await started()
    await writer.publish([red_point("before", now_s())])
    await eventually(lambda: calls_of(reader, "before") == 1)
    redis_server.freeze()
    assert await publish_timed(writer, red_point("lost", now_s())) < PUBLISH_LIMIT_S
    for _ in range(5):
        assert await publish_timed(writer, red_point("lost", now_s())) < 0.1
    await eventually(lambda: not is_complete(reader))
    lost_at = now_s()
    redis_server.thaw()
    await eventually(lambda: (reader.window.complete_since_s or 0) > lost_at)
    await eventually_published(writer, "after", reader)
    assert calls_of(reader, "before") == 1


async def test_an_interruption_that_lost_nothing_costs_no_completeness(redis_server: Any, started: Make) -> None:
    """A reader that finds its place in the stream again claims what it claimed before."""
    writer, reader = await started(is_mirrored=False), await started()
    await writer.reset()
    await writer.publish([red_point("before", now_s())])
    await eventually(lambda: calls_of(reader, "before") == 1)
    since_s = reader.window.complete_since_s
    redis_server.freeze()
    await eventually(lambda: not is_complete(reader))
    redis_server.thaw()
    await eventually(lambda: is_complete(reader))
    assert reader.window.complete_since_s == since_s
    assert calls_of(reader, "before") == 1


async def test_an_emptied_stream_is_a_reset_that_writers_report(redis_server: Any, started: Make, admin: Any) -> None:
    """The next publishing finds the stream gone and begins a new one with a reset."""
    writer, reader = await started(is_mirrored=False), await started()
    await writer.publish([red_point("before", now_s())])
    await eventually(lambda: calls_of(reader, "before") == 1)
    # Ids are milliseconds: a stream emptied and begun anew within one would have the same ones.
    await eventually(lambda: time.time() * 1_000 > last_ms(admin) + 1)
    flushed_at = now_s()
    redis_server.flush()
    await writer.publish([red_point("after", now_s())])
    await eventually(lambda: calls_of(reader, "after") == 1)
    assert (reader.window.complete_since_s or 0) > flushed_at


async def test_an_emptied_stream_is_noticed_without_any_writer(redis_server: Any, started: Make) -> None:
    """A reader that hears nothing looks whether its place is still there."""
    writer, reader = await started(is_mirrored=False), await started()
    await writer.publish([red_point("before", now_s())])
    await eventually(lambda: calls_of(reader, "before") == 1)
    flushed_at = now_s()
    redis_server.flush()
    await eventually(lambda: (reader.window.complete_since_s or 0) > flushed_at)


async def test_a_stream_that_was_replaced_by_one_with_lower_ids_is_read_from_its_beginning(
    started: Make, admin: Any
) -> None:
    """The clock of a Redis that was started anew may be behind."""
    writer, reader = await started(is_mirrored=False), await started()
    await writer.publish([red_point("before", now_s())])
    await eventually(lambda: calls_of(reader, "before") == 1)
    (_, entry), *_ = admin.xrevrange(STREAM, count=1)
    with admin.pipeline() as pipeline:
        pipeline.delete(STREAM)
        pipeline.xadd(STREAM, entry, id="5000-1")
        pipeline.xadd(STREAM, entry, id="5000-2")
        pipeline.execute()
    await eventually(lambda: calls_of(reader, "before") == 2)


async def test_a_writer_whose_connection_was_cut_reports_a_reset(started: Make, admin: Any) -> None:
    """A new connection may lead to a Redis that came up without its last entries."""
    writer = await started(is_mirrored=False)
    await writer.reset()
    await writer.publish([red_point("before", now_s())])
    resets = count_resets(admin)
    admin.client_kill_filter(_type="normal", skipme=True)
    await writer.publish([red_point("after", now_s())])
    await eventually(lambda: count_resets(admin) > resets)


def count_resets(admin: Any) -> int:
    return sum(b"reset" in fields for _, fields in admin.xrange(STREAM))


@pytest.mark.parametrize(
    "fields",
    [{"points": b"nonsense"}, {"points": b""}, {"reset": b"soon"}, {"something": b"else"}, {"points": b"\xff" * 500}],
)
async def test_an_entry_that_cannot_be_read_is_left_out_and_owned_up_to(
    started: Make, admin: Any, counters: Counters, fields: dict[str, bytes]
) -> None:
    """The reader goes on after it, and claims completeness only from there."""
    writer, reader = await started(is_mirrored=False), await started()
    await writer.reset()
    await eventually(lambda: admin.xlen(STREAM) == 1)
    failures, added_at = counters.total("live_feed_failures"), now_s()
    admin.xadd(STREAM, fields)
    await eventually(lambda: counters.total("live_feed_failures") == failures + 1)
    assert (reader.window.complete_since_s or 0) > added_at
    await writer.publish([red_point("after", now_s())])
    await eventually(lambda: calls_of(reader, "after") == 1)


@pytest.mark.parametrize("trouble", ["full", "wrong type"])
async def test_a_redis_that_refuses_is_survived_and_recovered_from(
    started: Make, admin: Any, counters: Counters, trouble: str
) -> None:
    """Out of memory, or something else under the stream's name: publishing returns quickly, and it heals by itself."""
    writer, reader = await started(is_mirrored=False), await started()
    if trouble == "full":
        admin.config_set("maxmemory", 1)
    else:
        admin.set(STREAM, "in the way")
    try:
        assert await publish_timed(writer, red_point("lost", now_s())) < PUBLISH_LIMIT_S
        assert counters.total("live_feed_failures") >= 1
    finally:
        admin.config_set("maxmemory", 0)
        if trouble != "full":
            admin.delete(STREAM)
    await eventually_published(writer, "after", reader)


async def test_a_window_of_many_points_replays_completely(started: Make) -> None:
    """More entries than one read returns are all taken."""
    writer = await started(is_mirrored=False)
    second = now_s()
    for _ in range(100):
        await writer.publish([red_point(f"s{number}", second) for number in range(50)])
    late = await started()
    assert late.window.point_count == 50
    assert calls_of(late, "s7") == 100


async def test_a_feed_stops_quickly_whatever_redis_does(redis_server: Any, counters: Counters) -> None:
    """Neither a frozen nor a killed Redis holds up the end of a process."""
    for disturb, repair in (
        (redis_server.freeze, redis_server.thaw),
        (redis_server.kill, redis_server.start),
    ):
        feed = build_redis_live_feed(StorageSettings(), redis_server.url, counters)
        await feed.start()
        await feed.publish([red_point("a", now_s())])
        disturb()
        await feed.publish([red_point("a", now_s())])
        begun = time.monotonic()
        await feed.stop()
        assert time.monotonic() - begun < 3
        repair()


@pytest.mark.parametrize("url", ["http://127.0.0.1:6379", "redis://127.0.0.1:port/0"])
async def test_an_address_that_makes_no_sense_stops_the_start(counters: Counters, url: str) -> None:
    """One line names the setting."""
    with pytest.raises(StartError, match="MODELWATCH_LIVE_URL"):
        await build_redis_live_feed(StorageSettings(), url, counters).start()


async def test_a_host_that_does_not_exist_is_waited_for_in_the_background(counters: Counters) -> None:
    """A Redis that is not there yet, at a port where nothing listens, is no reason not to start."""
    feed = build_redis_live_feed(StorageSettings(), f"redis://127.0.0.1:{free_port()}/0", counters)
    await feed.start()
    assert await publish_timed(feed, red_point("a", now_s())) < PUBLISH_LIMIT_S
    await feed.stop()
