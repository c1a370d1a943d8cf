"""RabbitMQ takes messages away from a worker that is too slow with them, and hands them out again: they count once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from telemetry.queues import DEAD_LETTER_QUEUE
from tests.faults.conftest import OwnRig
from tests.support.deliveries import declare_queues, deliveries
from tests.support.waiting import eventually

LIMIT_MS = 1_500
DEFAULTS = {"consumer_timeout": 1_800_000, "channel_tick_interval": 60_000}


@pytest.fixture
def impatient(rabbitmq: Any) -> Iterator[Any]:
    """A broker that looks twice a second for deliveries older than `LIMIT_MS`; of itself it does so every minute."""

    def set_all(**values: int) -> None:
        for name, value in values.items():
            rabbitmq.ctl("eval", f"application:set_env(rabbit, {name}, {value}).")

    set_all(consumer_timeout=LIMIT_MS, channel_tick_interval=500)
    yield rabbitmq
    set_all(**DEFAULTS)


async def test_messages_that_the_broker_takes_back_from_a_slow_worker_count_once(
    own_rig: OwnRig, impatient: Any
) -> None:
    """F13: with commits stuck behind a lock the channel is closed and everything delivered again, and again.

    A few times of that make all of them suspects, in a processor that has stored others; none is buried.
    """
    async with own_rig() as rig:
        await declare_queues(rig)
        await rig.start_processors("processor")
        account = deliveries(rig)
        await account.publish_new(20)
        await account.close()
        with psycopg.connect(rig.database_url.replace("+psycopg", "")) as other:
            other.execute("LOCK TABLE batches IN SHARE MODE")
            await account.publish_new(40)
            await eventually(lambda: _reconnects(rig, 4), timeout_s=60)  # so that all are tried alone
            other.rollback()
        await account.close()
        assert rig.view.waiting(DEAD_LETTER_QUEUE) == 0
        assert "PRECONDITION_FAILED" in rig.system.roles["processor"].output()


async def _reconnects(rig: Any, count: int) -> bool:
    return bool(await rig.figure("processor", "rabbit_source_reconnects") >= count)
