"""Redis is killed, frozen or emptied: figures are stored and answered no slower, and the live view comes back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from statistics import median
from typing import Any

import httpx
import pytest

from tests.faults.conftest import OwnRig
from tests.support.deliveries import Deliveries, declare_queues, deliveries
from tests.support.waiting import eventually

ROUNDS = 9
LIMIT_S = 0.2
"""By how much a Redis in trouble may slow down what is usual."""
STALL_S = 2.0
"""What no single answer may take, busy machine or not: a client of Redis with its defaults hangs for longer."""


@dataclass
class Watch:
    """A dashboard and what was published to its processor."""

    account: Deliveries
    client: httpx.AsyncClient

    async def round(self) -> tuple[float, float]:
        """Publish a request; return how long until it is stored, and how long a question then takes."""
        wanted, published_s = len(self.account.bodies) + 1, time.monotonic()
        await self.account.publish_new(1)
        await eventually(lambda: self._has(wanted), interval_s=0.005)
        stored_s = time.monotonic()
        (await self.client.get("/api/v1/services", params={"window": "5m"})).raise_for_status()
        return stored_s - published_s, time.monotonic() - stored_s

    async def pace(self) -> tuple[float, float]:
        """Return what is usual now, storing and answering; insist that nothing hangs."""
        rounds = [await self.round() for _ in range(ROUNDS)]
        stored_s, answered_s = zip(*rounds, strict=True)
        assert max(stored_s) < STALL_S
        assert max(answered_s) < STALL_S
        return median(stored_s), median(answered_s)

    async def source(self) -> str:
        """Return what answers a question about the last two seconds."""
        now_s = int(time.time())
        question = {"start": now_s - 2, "end": now_s + 1, "step": "1s"}
        answer = await self.client.get("/api/v1/red", params=question)
        answer.raise_for_status()
        return str(answer.json()["source"])

    async def counts(self) -> bool:
        """Tell whether the page shows every call and error there was, once."""
        answer = await self.client.get("/api/v1/services", params={"window": "5m"})
        (item,) = answer.json()["items"]
        return (item["calls"], item["errors"]) == (3 * len(self.account.bodies), len(self.account.bodies))

    async def _has(self, wanted: int) -> bool:
        return await self.account.stored_count() == wanted


@pytest.fixture
async def watch(own_rig: OwnRig, redis_server: Any) -> AsyncIterator[Watch]:
    async with own_rig(MODELWATCH_LIVE_URL=redis_server.url) as rig:
        system = rig.system
        system.environment["MODELWATCH_API__PORT"] = str(system.web_port)
        await declare_queues(rig)
        await asyncio.gather(rig.start_processors("processor"), system.start("dashboard", "dashboard"))
        async with httpx.AsyncClient(base_url=system.url, timeout=10) as client:
            yield Watch(deliveries(rig), client)


async def test_a_redis_in_trouble_slows_nothing_down_and_the_live_view_comes_back(
    watch: Watch, redis_server: Any
) -> None:
    """F18: killed, frozen and emptied in turn; every count stays exact, and each time the live view answers again."""
    await watch.round()
    await eventually(lambda: is_from(watch, "live"), timeout_s=20)
    usual_s = await watch.pace()
    paces = {}
    redis_server.kill()
    paces["killed"] = await watch.pace()
    await eventually(lambda: is_from(watch, "history"))
    redis_server.start()
    await eventually(lambda: is_from(watch, "live"), timeout_s=20)
    redis_server.freeze()
    paces["frozen"] = await watch.pace()
    await eventually(lambda: is_from(watch, "history"))
    redis_server.thaw()
    await eventually(lambda: is_from(watch, "live"), timeout_s=20)
    redis_server.flush()
    paces["emptied"] = await watch.pace()
    await eventually(lambda: is_from(watch, "live"), timeout_s=20)
    print(f"usual {usual_s}, then {paces}")
    for trouble, pace in paces.items():
        assert all(now < usual + LIMIT_S for now, usual in zip(pace, usual_s, strict=True)), (trouble, pace, usual_s)
    await watch.account.close()
    await eventually(watch.counts)


async def is_from(watch: Watch, source: str) -> bool:
    """Ask while data flows, as a page does."""
    await watch.account.publish_new(1)
    return await watch.source() == source
