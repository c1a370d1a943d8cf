"""The receiver is stopped and killed under load, again and again: what it acknowledged is stored."""

from __future__ import annotations

import asyncio
import random

import pytest

from tests.support.fault_rig import QUIET_S, Rig

ENDS = ("stop", "stop", "kill", "kill")


@pytest.mark.left_behind_is_fine  # the last receiver goes on in the shared rig
async def test_rolling_restarts_cost_nothing(rig: Rig, chance: random.Random) -> None:
    """F19: SIGTERM ends with exit code 0, after which nothing reaches the queue; SIGKILL loses nothing acknowledged."""
    audit = await rig.audit()
    with rig.witness() as witness:
        async with audit.load(chance) as load:
            for end in chance.sample(ENDS, len(ENDS)):
                await load.for_another(10)
                await asyncio.sleep(chance.random() * 0.3)
                receiver = rig.system.roles["receiver"]
                if end == "kill":
                    await asyncio.to_thread(receiver.kill)
                else:
                    assert await asyncio.to_thread(receiver.stop) == 0
                    at_exit = rig.view.waiting(witness)
                    await asyncio.sleep(QUIET_S)
                    assert rig.view.waiting(witness) == at_exit
                await rig.start_receiver()
            await load.for_another(30)
    await audit.close(is_counted=False)


@pytest.mark.left_behind_is_fine  # the last receiver goes on in the shared rig
async def test_receivers_killed_while_they_spill_cost_nothing(rig: Rig, chance: random.Random) -> None:
    """F19 within F2: with RabbitMQ away, one receiver is killed and one stopped; what each spilled is drained."""
    audit = await rig.audit()
    async with audit.load(chance) as load:
        await load.for_another(20)
        await asyncio.to_thread(rig.broker.kill)
        for end in chance.sample(("kill", "stop"), 2):
            await load.for_another(20)
            await asyncio.sleep(chance.random() * 0.3)
            receiver = rig.system.roles["receiver"]
            if end == "kill":
                await asyncio.to_thread(receiver.kill)
            else:
                assert await asyncio.to_thread(receiver.stop) == 0
            await rig.start_receiver()
        acknowledged = audit.journal.acknowledged()
        await asyncio.to_thread(rig.broker.start)
        await load.for_another(30)
    assert len(acknowledged) > 50
    assert await rig.figure("receiver", "spill_recovered_batches") > 0
    await audit.close(is_counted=False)
