"""Processors die at each step around the commit, and again and again: every request counts once, and none is buried."""

from __future__ import annotations

import asyncio
import json
import random
import time
from typing import Any

from storage.component import build_redis_live_feed
from storage.redis_live_feed import RedisLiveFeed
from storage.settings import StorageSettings
from telemetry import Counters
from telemetry.queues import DEAD_LETTER_QUEUE, PROCESSOR_QUEUE
from tests.faults.conftest import OwnRig
from tests.support.deliveries import (
    Deliveries,
    dead_letters,
    deaths_of,
    declare_queues,
    deliveries,
    dying_processors,
)
from tests.support.dying_processor import MARK, MARKED, NEVER, STEPS
from tests.support.otlp import server_span, trace_request
from tests.support.red_points import totals_of
from tests.support.waiting import eventually

BEFORE = STEPS[:2]
"""Steps at which nothing is stored."""
FEW = {"MODELWATCH_RABBIT_SOURCE__PREFETCH": "8"}
"""In hand at once, so that one process makes several commits."""


async def test_a_processor_killed_at_any_step_changes_no_count(
    own_rig: OwnRig, redis_server: Any, chance: random.Random
) -> None:
    """F9: before, within and after the commit, after publishing, before the ack; the live view has all it claims."""
    async with own_rig(MODELWATCH_LIVE_URL=redis_server.url, **FEW) as rig:
        await declare_queues(rig)
        account = deliveries(rig)
        await account.publish_new(200)
        deaths = [(step, chance.randint(1, 3)) for step in chance.sample(STEPS, len(STEPS))]
        with dying_processors(rig, *deaths) as running:
            await deaths_of(running, len(deaths))
        assert 0 < await account.stored_count() < 200
        await rig.start_processors("processor")
        await account.close()
        feed = build_redis_live_feed(StorageSettings(), redis_server.url, Counters())
        await feed.start()
        try:
            since_s = await eventually(lambda: feed.window.complete_since_s)
            await eventually(lambda: time.time() > since_s + 1)
            await account.publish_new(20)
            await account.close()
            await eventually(lambda: _shows_the_truth(feed, account))
        finally:
            await feed.stop()


def _shows_the_truth(feed: RedisLiveFeed, account: Deliveries) -> bool:
    since_s, end_s = feed.window.complete_since_s, int(time.time()) + 1
    assert since_s is not None
    truth = totals_of(point for point in account.points() if point.start_s >= since_s)
    assert truth
    assert totals_of(feed.window.points(since_s, end_s)) == truth
    return True


async def test_a_worker_in_a_crash_loop_buries_no_healthy_message(own_rig: OwnRig, chance: random.Random) -> None:
    """F12: however often all that it had in hand comes back, nothing is given up, and the next worker stores it.

    Most of the deaths are over messages that it worked on alone: it dies of all of them, so it is not their fault.
    """
    async with own_rig(MODELWATCH_RABBIT_SOURCE__LONE_PAUSE_S="0.1") as rig:
        await declare_queues(rig)
        account = deliveries(rig)
        await account.publish_new(60)
        loop = [(chance.choice(BEFORE), 1) for _ in range(8)]
        with dying_processors(rig, *loop, (NEVER, 1)) as running:
            await deaths_of(running, len(loop))
            await account.close(has_figures=False)


async def test_a_message_that_ends_its_processors_is_set_aside_alone(own_rig: OwnRig) -> None:
    """F12: a few processes die of it, then it is a dead letter that says so; its neighbours are stored, each once."""
    async with own_rig() as rig:
        await declare_queues(rig)
        account = deliveries(rig)
        killer = trace_request([server_span(MARK)]).SerializeToString()
        await account.publish([*account.make(20), killer, *account.make(20)])
        with dying_processors(rig, *[(MARKED, 1)] * 7) as running:
            for death in range(1, 7):
                await deaths_of(running, death, or_if=lambda: rig.view.waiting(DEAD_LETTER_QUEUE) > 0)
                await account.publish_new(1)
            await eventually(lambda: rig.view.waiting(DEAD_LETTER_QUEUE) == 1, timeout_s=30)
            await account.close(letters=1, has_figures=False)
        letter = json.loads(await dead_letters(rig, "list", json=True))
        assert letter["reason"].startswith("3 processes ended while they worked on this message and on nothing else")
        assert letter["body_bytes"] == len(killer)


async def test_healthy_messages_that_a_policy_buried_are_restored_by_replaying_them(own_rig: OwnRig) -> None:
    """F12: where an operator limits deliveries, a crash loop fills the dead letters; `replay` brings every one back."""
    async with own_rig() as rig:
        await declare_queues(rig)
        vhost = rig.view.url.get_secret_value().rpartition("/")[2]
        policy = ("set_policy", "-p", vhost, "limit", PROCESSOR_QUEUE, '{"delivery-limit": 1}', "--apply-to", "queues")
        await asyncio.to_thread(rig.broker.ctl, *policy)
        account = deliveries(rig)
        await account.publish_new(30)
        with dying_processors(rig, (BEFORE[0], 1), (BEFORE[0], 1), (NEVER, 1)) as running:
            await deaths_of(running, 2)
            await eventually(lambda: rig.view.waiting(DEAD_LETTER_QUEUE) == 30)
            await asyncio.to_thread(rig.broker.ctl, "clear_policy", "-p", vhost, "limit")
            assert "delivery_limit" in await dead_letters(rig, "list")
            assert "30 sent again" in await dead_letters(rig, "replay", all=True)
            await account.close(has_figures=False)
