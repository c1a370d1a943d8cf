"""The processors are gone: the queue grows, fills and drains, and senders notice nothing until it is full."""

from __future__ import annotations

import random
import statistics
import time

import psutil

from tests.faults.conftest import OwnRig
from tests.support.contract_checker import Fate
from tests.support.fault_rig import Audit

MIB = 1024**2


async def test_a_full_queue_is_not_felt_by_senders(own_rig: OwnRig, chance: random.Random) -> None:
    """F6: what the full queue refuses is spilled, and follows when the processors have made room."""
    async with own_rig(MODELWATCH_RABBITMQ__QUEUE_MAX_BYTES=str(MIB)) as rig:
        await rig.start_receiver()
        audit = await rig.audit()
        async with audit.load(chance, padding_bytes=4_096) as load:
            await load.for_another(120)
            assert await rig.figure("receiver", "spill_batches") > 20
            await rig.start_processors("processor")
            await load.for_another(30)
        assert audit.journal.acknowledged() == audit.journal.requests()
        assert all(attempt.fate is Fate.ACKNOWLEDGED for attempt in audit.journal.attempts)
        await audit.close()


async def test_a_backlog_is_not_felt_by_senders(own_rig: OwnRig, chance: random.Random) -> None:
    """F14: with the processor stopped at full rate, latency and memory stay as they were; then all is counted."""
    async with own_rig() as rig:
        await rig.start_processors("processor")
        await rig.start_receiver()
        audit = await rig.audit()
        receiver = psutil.Process(rig.system.roles["receiver"].pid)
        async with audit.load(chance, rate_per_s=120) as load:
            await load.for_another(120)
            begin_s = time.monotonic()
            await load.for_another(180)
            stopped_s = time.monotonic()
            assert rig.system.roles["processor"].stop() == 0
            before_bytes = receiver.memory_info().rss
            backlog_s = time.monotonic()
            await load.for_another(300)
            end_s = time.monotonic()
            assert rig.view.waiting() > 240
            assert receiver.memory_info().rss < before_bytes + 32 * MIB
        with_processor_s = _median_s(audit, begin_s, stopped_s)
        with_backlog_s = _median_s(audit, backlog_s, end_s)
        print(f"median with processor {with_processor_s * 1e3:.1f} ms, with backlog {with_backlog_s * 1e3:.1f} ms")
        assert with_backlog_s < 2 * with_processor_s + 0.020
        assert audit.journal.acknowledged() == audit.journal.requests()
        await rig.start_processors("processor")
        await audit.close()


def _median_s(audit: Audit, begin_s: float, end_s: float) -> float:
    return statistics.median(attempt.took_s for attempt in audit.journal.between(begin_s, end_s))
