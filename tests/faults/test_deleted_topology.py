"""Somebody deletes what was declared at RabbitMQ, under load: it is put back, and nothing sent after that is lost."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

import pytest

from telemetry.queues import EXCHANGE, PROCESSOR_QUEUE
from tests.support.contract_checker import Fate
from tests.support.fault_rig import Audit, Rig
from tests.support.rabbit import RabbitView


def delete_queue(view: RabbitView) -> None:
    view.delete_queue(PROCESSOR_QUEUE)


def delete_binding(view: RabbitView) -> None:
    with view.channel() as channel:
        channel.queue_unbind(PROCESSOR_QUEUE, EXCHANGE, "traces")


def delete_exchange(view: RabbitView) -> None:
    with view.channel() as channel:
        channel.exchange_delete(EXCHANGE)


@pytest.mark.parametrize("delete", [delete_queue, delete_binding, delete_exchange])
async def test_what_is_deleted_is_put_back(
    rig: Rig, chance: random.Random, delete: Callable[[RabbitView], None]
) -> None:
    """F7: a deleted queue takes with it what was in it; whatever was sent later, and all else, is stored."""
    audit = await rig.audit()
    async with audit.load(chance) as load:
        await load.for_another(20)
        await asyncio.sleep(chance.random() * 0.2)
        await asyncio.to_thread(delete, rig.view)
        deleted_s = time.monotonic()
        await load.for_another(120)
    if delete is delete_queue:
        audit.excused |= _acknowledged_of(audit, 0, deleted_s)
    mended = _acknowledged_of(audit, deleted_s + 1, float("inf"))
    assert len(mended) > 40
    await audit.close()


def _acknowledged_of(audit: Audit, begin_s: float, end_s: float) -> set[int]:
    sent = audit.journal.between(begin_s, end_s)
    return {attempt.request for attempt in sent if attempt.fate is Fate.ACKNOWLEDGED}
