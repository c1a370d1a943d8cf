"""A processor that dies in mid-stream changes no count."""

from __future__ import annotations

import asyncio
import random
import time

import grpc
import httpx

from tests.support.otlp import resource, server_span, trace_request
from tests.support.otlp_tee import METHOD
from tests.support.systems import System
from tests.support.waiting import eventually

BATCHES, SPANS = 400, 25


async def test_a_killed_processor_costs_and_repeats_nothing(distributed: System) -> None:
    """With SIGKILL on one of two processors under load, twice, every acknowledged span counts exactly once."""
    chance = random.Random(7)
    sent = failed = 0

    async with grpc.aio.insecure_channel(f"127.0.0.1:{distributed.grpc_port}") as channel:
        export = channel.unary_unary(METHOD)
        gate = asyncio.Semaphore(16)

        async def one(body: bytes) -> None:
            async with gate:
                await export(body, timeout=20, wait_for_ready=True)

        async def kill_and_restart() -> None:
            victim = distributed.roles["processor-1"]
            for _ in range(2):
                await asyncio.sleep(0.4)  # in mid-stream: while the other half of the batches is on its way
                victim.kill()
                await distributed.start("processor-1", "processor")
                victim = distributed.roles["processor-1"]

        async def stream() -> None:
            nonlocal sent, failed
            for part in range(8):
                bodies = []
                for _ in range(BATCHES // 8):
                    codes = chance.choices([200, 422, 500], [90, 6, 4], k=SPANS)
                    failed += codes.count(500)
                    sent += SPANS
                    spans = [
                        server_span(route="/predict", status_code=code, end_ns=time.time_ns(), index=sent + number)
                        for number, code in enumerate(codes)
                    ]
                    bodies.append(trace_request(spans, resource("fraud")).SerializeToString())
                await asyncio.gather(*(one(body) for body in bodies))
                if part < 7:
                    await asyncio.sleep(0.3)  # spread over the time of the kills

        await asyncio.gather(stream(), kill_and_restart())

    async def counted() -> bool:
        async with httpx.AsyncClient() as client:
            response = await client.get(f"{distributed.url}/api/v1/services", params={"window": "15m"}, timeout=20)
            (item,) = response.json()["items"]
            assert (item["calls"], item["errors"]) == (sent, failed)
            return True

    await eventually(counted, timeout_s=30)
    await asyncio.sleep(1)  # nothing may be added to it afterwards either
    assert await counted()
