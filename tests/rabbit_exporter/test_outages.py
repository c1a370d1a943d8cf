"""The exporter with its spill, against a real broker that is away, frozen, blocked, full or forgetful."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from rabbit_exporter import RabbitExporter, RabbitExporterSettings, build
from rabbitmq import Message, RabbitSettings, batch_of
from telemetry import Batch, Counters, RetryableError, Signal, StartError
from telemetry.queues import EXCHANGE, PROCESSOR_QUEUE
from tests.support.doubles import ManualClock
from tests.support.ports import free_port
from tests.support.rabbit import OLD_ENOUGH_S, QUICK, RabbitView, batch_number
from tests.support.waiting import eventually


@pytest.fixture
def counters() -> Counters:
    return Counters()


@pytest.fixture
def exporter(view: RabbitView, counters: Counters, tmp_path: Path) -> Any:
    def make(rabbit: RabbitSettings = QUICK, url: Any = None, **options: Any) -> RabbitExporter:
        settings = RabbitExporterSettings(**{"spill_after_s": 0.5, "stop_grace_s": 1.0, **options})
        return build(settings, rabbit, url or view.url, counters, tmp_path)

    return make


def arrived(view: RabbitView) -> list[Batch]:
    clock = ManualClock()
    return [batch_of(Message(got.routing_key, properties, body), clock) for got, properties, body in view.take_all()]


def held(counters: Counters) -> float:
    return sum(value for (name, _), value in counters.gauges().items() if name == "spill_batches")


async def send(one: RabbitExporter, numbers: range, *, at_once: bool = True) -> list[Batch]:
    batches = [batch_number(number) for number in numbers]
    if at_once:
        await asyncio.gather(*(one.consume(batch) for batch in batches))
    else:
        for batch in batches:
            await one.consume(batch)
    return batches


async def is_drained(one: RabbitExporter, counters: Counters) -> None:
    await eventually(lambda: held(counters) == 0 and not one.is_spilling, timeout_s=20)


async def test_batches_of_a_frozen_broker_are_spilled_in_time_and_arrive_once(
    view: RabbitView, rabbitmq: Any, counters: Counters, exporter: Any
) -> None:
    """The first wait up to `spill_after_s`, the next do not wait at all; after the thaw each is on the queue once."""
    one = exporter()
    await one.start()
    batches = await send(one, range(5))
    rabbitmq.freeze()
    began = time.monotonic()
    batches += await send(one, range(5, 25))
    assert time.monotonic() - began < 1.5
    began = time.monotonic()
    batches += await send(one, range(25, 125), at_once=False)
    assert time.monotonic() - began < 2
    assert one.is_spilling
    await one.check()
    rabbitmq.thaw()
    await is_drained(one, counters)
    await one.consume(batch_number(999))
    await one.stop()
    assert Counter(batch.batch_id for batch in arrived(view)) == Counter(
        batch.batch_id for batch in [*batches, batch_number(999)]
    )
    assert counters.total("spill_written_batches") == counters.total("spill_drained_batches") == 120
    assert counters.total("exporter_published_batches") == 6


async def test_a_start_without_broker_spills_and_drains_when_it_comes(
    view: RabbitView, rabbitmq: Any, counters: Counters, exporter: Any
) -> None:
    """The receiver is ready and takes data; the batches reach the queue in the order in which they were taken."""
    one = exporter()
    await one.start()
    await one.stop()
    await asyncio.sleep(OLD_ENOUGH_S)
    rabbitmq.kill()
    await one.start()
    await one.check()
    assert not one.is_connected
    batches = await send(one, range(200), at_once=False)
    assert held(counters) == 200
    rabbitmq.start()
    await is_drained(one, counters)
    assert arrived(view) == batches
    await one.stop()
