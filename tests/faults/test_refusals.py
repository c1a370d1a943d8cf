"""Nothing can take the data, neither RabbitMQ nor a spill: every answer is a quick, retryable, counted refusal."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

from tests.faults.conftest import OwnRig
from tests.support.contract_checker import Attempt, Fate
from tests.support.fault_rig import Rig
from tests.support.waiting import eventually

MIB = 1024**2
NO_SPILL = {"MODELWATCH_RABBIT_EXPORTER__SPILL_MAX_BYTES": "0"}


async def test_without_a_spill_a_dead_broker_is_a_quick_refusal(
    rig: Rig, second_rig: Callable[..., Rig], chance: random.Random
) -> None:
    """F1, F2: refused while RabbitMQ is away; who is patient loses nothing, and what the others lose is told."""
    plain = second_rig(**NO_SPILL)
    await plain.start_receiver()
    audit = await plain.audit()
    async with audit.load(chance, patience_s=20.0) as load:
        await load.for_another(20)
        await asyncio.to_thread(rig.broker.kill)
        gone_s = time.monotonic()
        await load.for_another(90)
        back_s = time.monotonic()
        await asyncio.to_thread(rig.broker.start)
        await load.for_another(60)
    during = audit.journal.between(gone_s + 0.2, back_s)
    assert {attempt.fate for attempt in during} == {Fate.REFUSED}
    assert max(attempt.took_s for attempt in during) < 0.5
    tries: dict[int, list[Attempt]] = {}
    for attempt in audit.journal.attempts:
        tries.setdefault(attempt.request, []).append(attempt)
    given_up = [of_one for of_one in tries.values() if of_one[-1].fate is not Fate.ACKNOWLEDGED]
    print(f"{len(given_up)} of {len(tries)} requests were given up by senders that do not try again")
    assert given_up
    assert all(len(of_one) == 1 for of_one in given_up)
    await audit.close()


async def test_a_full_spill_refuses_until_it_is_drained(
    rig: Rig, second_rig: Callable[..., Rig], chance: random.Random
) -> None:
    """F2: when the spill is full senders are told to try again; what it holds is drained, and then it takes anew."""
    small = second_rig(
        MODELWATCH_RABBIT_EXPORTER__SPILL_MAX_BYTES=str(256 * 1024),
        MODELWATCH_RABBIT_EXPORTER__SPILL_SEGMENT_BYTES=str(32 * 1024),
    )
    await small.start_receiver()
    audit = await small.audit()
    async with audit.load(chance, patience_s=20.0, padding_bytes=1_024) as load:
        await load.for_another(20)
        await asyncio.to_thread(rig.broker.kill)
        await load.for_another(150)
        last = audit.journal.attempts[-10:]
        assert {attempt.fate for attempt in last} == {Fate.REFUSED}
        assert max(attempt.took_s for attempt in last) < 0.5
        assert await small.figure("receiver", "spill_refused_batches") >= 10
        assert await small.figure("receiver", "spill_batches") > 20
        await asyncio.to_thread(rig.broker.start)
        await eventually(lambda: _is_drained(small), timeout_s=20)
        well_s = time.monotonic()
        await load.for_another(60)
    assert all(attempt.fate is Fate.ACKNOWLEDGED for attempt in audit.journal.between(well_s, float("inf")))
    await audit.close()


async def test_a_full_queue_is_a_retryable_refusal(own_rig: OwnRig, chance: random.Random) -> None:
    """F6: over its limit the queue refuses and drops nothing; with processors back, those who tried again are taken."""
    async with own_rig(MODELWATCH_RABBITMQ__QUEUE_MAX_BYTES=str(MIB), **NO_SPILL) as rig:
        await rig.start_receiver()
        audit = await rig.audit()
        async with audit.load(chance, padding_bytes=4_096) as load:
            await load.for_another(120)
            assert any("full" in attempt.said for attempt in audit.journal.attempts)
            await rig.start_processors("processor")
            started_s = time.monotonic()
            await load.for_another(60)
        after = audit.journal.between(started_s + 1, float("inf"))
        assert after
        assert all(attempt.fate is Fate.ACKNOWLEDGED for attempt in after)
        await audit.close()


async def _is_drained(rig: Rig) -> bool:
    return await rig.figure("receiver", "spill_batches") == 0
