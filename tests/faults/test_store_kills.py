"""PostgreSQL is killed, restarted and stopped under load: senders notice nothing, and every request counts once."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from tests.support.contract_checker import Fate
from tests.support.fault_rig import Rig

ENDS = ("kill", "stop")


async def test_a_database_that_ends_in_mid_commit_loses_and_repeats_nothing(
    rig: Rig, postgres: Any, chance: random.Random
) -> None:
    """F15: killed or shut down at random moments, with commits under way; all is stored when it is back, unaided."""
    audit = await rig.audit()
    async with audit.load(chance, rate_per_s=120) as load:
        for end in chance.sample(ENDS, len(ENDS)):
            await load.for_another(60)
            await asyncio.sleep(chance.random() * 0.3)
            await asyncio.to_thread(getattr(postgres, end))
            await load.for_another(60)
            await asyncio.to_thread(postgres.start)
    assert all(attempt.fate is Fate.ACKNOWLEDGED for attempt in audit.journal.attempts)
    await audit.close(timeout_s=60)
