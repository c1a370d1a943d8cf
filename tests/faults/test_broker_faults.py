"""RabbitMQ dies, freezes, or runs out of memory or disk, under load, before a receiver with a spill.

Every request is acknowledged, soon, all the time; nothing acknowledged is lost, and every recovery goes unaided.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence

import pytest

from tests.support.contract_checker import Attempt, Fate
from tests.support.fault_rig import Audit, Rig

SDK_PATIENCE_S = 10.0
"""After this OpenTelemetry's SDKs drop what they could not send."""
SPILL_AFTER_S = 1.0
"""How long the receiver waits for a confirm before it spills."""


async def test_an_outage_beyond_the_patience_of_senders_is_drained_in_order(rig: Rig, chance: random.Random) -> None:
    """F1, F2: killed at a random moment, gone longer than any SDK tries; all is acknowledged, and arrives in order."""
    audit = await rig.audit()
    with rig.witness():
        async with audit.load(chance) as load:
            await load.for_another(20)
            await asyncio.sleep(chance.random() * 0.3)
            await asyncio.to_thread(rig.broker.kill)
            gone_s = time.monotonic()
            await asyncio.sleep(SDK_PATIENCE_S + 2)
            back_s = time.monotonic()
            await asyncio.to_thread(rig.broker.start)
            await load.for_another(60)
        assert_all_acknowledged(audit.journal.attempts)
        during = audit.journal.between(gone_s + 0.2, back_s)
        assert await spilled(audit) >= len(during) > 500
        await audit.close()
        assert_in_order(during, rig.witnessed(audit.journal.test_id))


async def test_a_frozen_broker_keeps_nobody_waiting(rig: Rig, chance: random.Random) -> None:
    """F3: with SIGSTOP the first senders hear when the receiver gives up waiting and spills, later ones at once."""
    audit = await rig.audit()
    async with audit.load(chance) as load:
        await load.for_another(20)
        rig.broker.freeze()
        frozen_s = time.monotonic()
        await load.for_another(240)
        rig.broker.thaw()
        thawed_s = time.monotonic()
        await load.for_another(60)
    assert_all_acknowledged(audit.journal.attempts)
    during = audit.journal.between(frozen_s, thawed_s)
    assert max(attempt.took_s for attempt in during) < SPILL_AFTER_S + 1
    late = audit.journal.between(frozen_s + SPILL_AFTER_S + 0.5, thawed_s)
    assert len(late) > 100
    assert max(attempt.took_s for attempt in late) < 0.5
    await audit.close()


MEMORY = ("set_vm_memory_high_watermark", "absolute", "1MB"), ("set_vm_memory_high_watermark", "absolute", "1GB")
DISK = ("set_disk_free_limit", "1000000GB"), ("set_disk_free_limit", "100MB")


@pytest.mark.parametrize(("raised", "cleared"), [MEMORY, DISK], ids=["memory", "disk"])
async def test_an_alarm_is_not_felt_by_senders(
    rig: Rig, chance: random.Random, raised: Sequence[str], cleared: Sequence[str]
) -> None:
    """F4, F5: what RabbitMQ does not take is spilled at once, and the processors go on with what it has."""
    audit = await rig.audit()
    async with audit.load(chance) as load:
        await load.for_another(20)
        before = audit.journal.acknowledged()
        await asyncio.to_thread(rig.broker.ctl, *raised)
        try:
            await load.for_another(90)  # until nobody waits any more who was there when the alarm came
            alarmed_s = time.monotonic()
            await load.for_another(90)
            assert before <= (await rig.stored(audit.journal.test_id)).keys()
            ended_s = time.monotonic()
        finally:
            await asyncio.to_thread(rig.broker.ctl, *cleared)
        await load.for_another(30)
    assert_all_acknowledged(audit.journal.attempts)
    assert max(attempt.took_s for attempt in audit.journal.between(alarmed_s, ended_s)) < 0.5
    assert await spilled(audit) > 60
    await audit.close()


def assert_all_acknowledged(attempts: Sequence[Attempt]) -> None:
    others = [attempt for attempt in attempts if attempt.fate is not Fate.ACKNOWLEDGED]
    assert not others, others[:5]


def assert_in_order(sent: Sequence[Attempt], arrived: Sequence[int]) -> None:
    """Insist that who was answered before another was sent came first; of those at once nobody can say."""
    place = {number: index for index, number in reversed(list(enumerate(arrived)))}
    by_answer = sorted(sent, key=lambda attempt: attempt.sent_s + attempt.took_s)
    for later in sent:
        for earlier in by_answer:
            if earlier.sent_s + earlier.took_s >= later.sent_s:
                break
            assert place[earlier.request] < place[later.request], (earlier, later)


async def spilled(audit: Audit) -> int:
    """Return how many batches the receiver has spilled since the test began."""
    before = sum(value for (name, _), value in audit.before.items() if name == "spill_written_batches")
    return await audit.rig.figure("receiver", "spill_written_batches") - int(before)
