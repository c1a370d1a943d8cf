"""The same data comes again: from the broker, to two processors at once, over both transports. It counts once."""

from __future__ import annotations

import asyncio
import random
import time

from tests.support.contract_checker import TRANSPORTS, Attempt, Fate
from tests.support.deliveries import deliveries
from tests.support.fault_load import GrpcWire, HttpWire, body_of
from tests.support.fault_rig import Rig

REQUESTS = 150


async def test_messages_delivered_many_times_to_two_processors_count_once(rig: Rig, chance: random.Random) -> None:
    """F10: each message is on the queue two to five times, in any order; both processors meet the others' copies."""
    account = deliveries(rig)
    before = [await rig.figure(name, "processor_duplicate_batches") for name in rig.processors.roles if "proc" in name]
    copies = [body for body in account.make(REQUESTS) for _ in range(chance.randint(2, 5))]
    chance.shuffle(copies)
    half = len(copies) // 2
    await asyncio.gather(account.publish(copies[:half]), account.publish(copies[half:]))
    await account.close()
    after = [await rig.figure(name, "processor_duplicate_batches") for name in rig.processors.roles if "proc" in name]
    assert sum(after) - sum(before) == len(copies) - REQUESTS
    assert all(now > then for now, then in zip(after, before, strict=True))


async def test_a_request_sent_over_both_transports_counts_once(rig: Rig, chance: random.Random) -> None:
    """F10: each request goes over gRPC, over HTTP and to the queue, at once and again; all are answered OK."""
    audit = await rig.audit()
    account = deliveries(rig)
    wires = {"grpc": GrpcWire(rig.system.grpc_port), "http": HttpWire(rig.system.http_port)}

    async def send(number: int, body: bytes) -> None:
        await asyncio.sleep(chance.random())
        for transport in chance.sample(TRANSPORTS * 2, 4):
            sent_s = time.monotonic()
            fate, said = await wires[transport].send(body)
            assert fate is Fate.ACKNOWLEDGED, said
            audit.journal.note(Attempt(number, transport, fate, said, sent_s, time.monotonic() - sent_s))

    bodies = [body_of(audit.journal.test_id, number) for number in range(REQUESTS)]
    sending = [send(number, body) for number, body in enumerate(bodies)]
    await asyncio.gather(account.publish(bodies), *sending)
    for wire in wires.values():
        await wire.close()
    await audit.close()
