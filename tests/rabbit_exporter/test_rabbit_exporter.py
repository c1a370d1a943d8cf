"""The exporter without a spill, against a real broker that confirms, refuses, freezes, dies and comes back."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from rabbit_exporter.component import RabbitExporter, build
from rabbit_exporter.settings import RabbitExporterSettings
from rabbitmq import Message, RabbitSettings, batch_of
from telemetry import Batch, Counters, PermanentError, RetryableError, Signal
from telemetry.queues import EXCHANGE, PROCESSOR_QUEUE
from tests.support.doubles import ManualClock
from tests.support.rabbit import OLD_ENOUGH_S, QUICK, RabbitView, batch_number
from tests.support.waiting import eventually


def exporter(view: RabbitView, counters: Counters, rabbit: RabbitSettings = QUICK, **options: Any) -> RabbitExporter:
    settings = RabbitExporterSettings(spill_max_bytes=0, **options)
    return build(settings, rabbit, view.url, counters, Path("no spill"))


@pytest.fixture
def counters() -> Counters:
    return Counters()


def read_all(view: RabbitView) -> list[Batch]:
    clock = ManualClock()
    return [batch_of(Message(got.routing_key, properties, body), clock) for got, properties, body in view.take_all()]


async def outcome_of(one: RabbitExporter, batch: Batch) -> str:
    try:
        await one.consume(batch)
    except RetryableError as error:
        return str(error)
    return "confirmed"


async def test_what_is_confirmed_is_on_the_queue_byte_for_byte(view: RabbitView, counters: Counters) -> None:
    """Many batches at once, small and larger than a frame, arrive equal in every field."""
    one = exporter(view, counters)
    await one.start()
    batches = [batch_number(index, spans=1 + index % 7) for index in range(200)]
    batches += [Batch.of(signal, bytes(range(256)) * 2_000, item_count=9, received_unix_nano=77) for signal in Signal]
    await asyncio.gather(*(one.consume(batch) for batch in batches))
    await one.stop()
    assert sorted(read_all(view), key=lambda batch: batch.batch_id) == sorted(batches, key=lambda batch: batch.batch_id)
    assert counters.total("exporter_published_batches") == len(batches)
    assert counters.total("exporter_failed_batches") == 0


async def test_start_stop_start_stop(view: RabbitView, counters: Counters) -> None:
    """It publishes between start and stop, and refuses retryably outside of them."""
    one = exporter(view, counters)
    await one.stop()
    for index in range(2):
        assert await outcome_of(one, batch_number(9)) == "the RabbitMQ exporter is not running"
        await one.start()
        assert one.is_connected
        await one.consume(batch_number(index))
        await one.stop()
        await one.stop()
        assert not one.is_connected
    assert len(view.take_all()) == 2


async def test_a_deleted_queue_is_put_back(view: RabbitView, counters: Counters) -> None:
    """What has no queue to go to is refused, not confirmed and gone; the next attempts find the queue again."""
    one = exporter(view, counters)
    await one.start()
    view.delete_queue(PROCESSOR_QUEUE)
    assert "no queue" in await outcome_of(one, batch_number(1))

    async def is_confirmed() -> bool:
        return await outcome_of(one, batch_number(1)) == "confirmed"

    await eventually(is_confirmed)
    assert read_all(view) == [batch_number(1)]
    await one.stop()


async def test_a_deleted_exchange_is_put_back(view: RabbitView, counters: Counters) -> None:
    """RabbitMQ closes the channel over it; the batch is refused and the connection made anew."""
    one = exporter(view, counters)
    await one.start()
    with view.channel() as channel:
        channel.exchange_delete(EXCHANGE)
    assert "NOT_FOUND" in await outcome_of(one, batch_number(1))

    async def is_confirmed() -> bool:
        return await outcome_of(one, batch_number(1)) == "confirmed"

    await eventually(is_confirmed)
    assert read_all(view) == [batch_number(1)]
    assert counters.total("exporter_reconnects") == 1
    await one.stop()


async def test_a_full_queue_refuses_retryably(view: RabbitView, counters: Counters) -> None:
    """What the broker nacks is refused, and what it acked is there."""
    rabbit = QUICK.model_copy(update={"queue_max_bytes": 1024**2})
    one = exporter(view, counters, rabbit)
    await one.start()
    batches = [Batch.of(Signal.TRACES, bytes([i]) * 100_000, item_count=1, received_unix_nano=i) for i in range(40)]
    outcomes = [await outcome_of(one, batch) for batch in batches]
    await one.stop()
    confirmed = [batch for batch, outcome in zip(batches, outcomes, strict=True) if outcome == "confirmed"]
    assert "RabbitMQ refused the message: its queue is full" in outcomes
    assert read_all(view) == confirmed
    assert counters.total("exporter_failed_batches") == len(batches) - len(confirmed)


async def test_a_frozen_broker_is_given_up_in_time_and_loses_nothing(
    view: RabbitView, rabbitmq: Any, counters: Counters
) -> None:
    """At the deadline the sender may try again; over the window it is refused at once; after the thaw all goes on."""
    one = exporter(view, counters, publish_timeout_s=0.5, max_unconfirmed_messages=20)
    await one.start()
    await one.consume(batch_number(0))
    rabbitmq.freeze()
    began = time.monotonic()
    outcomes = await asyncio.gather(*(outcome_of(one, batch_number(index)) for index in range(1, 31)))
    assert time.monotonic() - began < 1.5
    assert outcomes[:20] == ["RabbitMQ did not confirm within 0.5 s"] * 20
    assert outcomes[20:] == ["too many messages wait for RabbitMQ to confirm them"] * 10
    began = time.monotonic()
    assert await outcome_of(one, batch_number(31)) == outcomes[-1]
    assert time.monotonic() - began < 0.2
    rabbitmq.thaw()

    async def is_confirmed() -> bool:
        return await outcome_of(one, batch_number(32)) == "confirmed"

    await eventually(is_confirmed)
    await one.stop()
    found = {batch.batch_id for batch in read_all(view)}
    assert found >= {batch_number(index).batch_id for index in (0, 32)}


async def test_a_killed_broker_is_refused_meanwhile_and_found_again(
    view: RabbitView, rabbitmq: Any, counters: Counters
) -> None:
    """Every confirmed batch survives the kill; nothing but retryable refusals is seen; recovery needs no help."""
    one = exporter(view, counters)
    await one.start()
    await asyncio.sleep(OLD_ENOUGH_S)
    outcomes: dict[int, str] = {}

    async def send(indexes: range) -> None:
        for index in indexes:
            outcomes[index] = await outcome_of(one, batch_number(index))

    senders = [asyncio.create_task(send(range(begin, begin + 2_000))) for begin in range(0, 16_000, 2_000)]
    await eventually(lambda: counters.total("exporter_published_batches") > 200)
    await asyncio.to_thread(rabbitmq.kill)
    await asyncio.gather(*senders)
    began = time.monotonic()
    assert "no connection" in await outcome_of(one, batch_number(20_000))
    assert time.monotonic() - began < 0.2
    await asyncio.to_thread(rabbitmq.start)

    async def is_confirmed() -> bool:
        return await outcome_of(one, batch_number(20_001)) == "confirmed"

    await eventually(is_confirmed, timeout_s=10)
    await one.stop()
    confirmed = {batch_number(index).batch_id for index, outcome in outcomes.items() if outcome == "confirmed"}
    assert 200 < len(confirmed) < len(outcomes)
    assert {batch.batch_id for batch in read_all(view)} >= confirmed
    assert counters.total("exporter_reconnects") == 1


async def test_a_broker_short_of_memory_is_refused_at_once_and_blocks_nothing(
    view: RabbitView, rabbitmq: Any, counters: Counters
) -> None:
    """While RabbitMQ blocks who publishes, batches are refused without waiting; afterwards they are taken again."""
    one = exporter(view, counters, publish_timeout_s=0.3)
    await one.start()
    rabbitmq.ctl("set_vm_memory_high_watermark", "absolute", "1MB")
    try:
        await eventually(lambda: _is_blocked(one), timeout_s=5)
        assert "short of memory" in await outcome_of(one, batch_number(1))
    finally:
        rabbitmq.ctl("set_vm_memory_high_watermark", "absolute", "1GB")

    async def is_confirmed() -> bool:
        return await outcome_of(one, batch_number(2)) == "confirmed"

    await eventually(is_confirmed)
    await one.stop()


async def _is_blocked(one: RabbitExporter) -> bool:
    return "short of memory" in await outcome_of(one, batch_number(0))


async def test_an_oversized_batch_is_refused_for_good(view: RabbitView, counters: Counters) -> None:
    """RabbitMQ would close the channel over it, at the cost of its neighbours."""
    one = exporter(view, counters, max_message_bytes=1024)
    await one.start()
    with pytest.raises(PermanentError, match="1025 bytes"):
        await one.consume(Batch.of(Signal.LOGS, bytes(1025), item_count=1, received_unix_nano=0))
    await one.consume(batch_number(1))
    await one.stop()


async def test_a_stop_waits_for_what_is_not_confirmed_yet(view: RabbitView, counters: Counters) -> None:
    """Batches that were taken before the stop are confirmed by it, not refused."""
    one = exporter(view, counters)
    await one.start()
    sending = [asyncio.create_task(one.consume(batch_number(index))) for index in range(100)]
    await asyncio.sleep(0)
    await one.stop()
    await asyncio.gather(*sending)
    assert view.waiting() == 100


async def test_a_stop_is_bounded_when_the_broker_is_frozen(view: RabbitView, rabbitmq: Any, counters: Counters) -> None:
    """After the grace whoever still waits is told to try again."""
    one = exporter(view, counters, stop_grace_s=0.3)
    await one.start()
    rabbitmq.freeze()
    sending = asyncio.create_task(outcome_of(one, batch_number(1)))
    await asyncio.sleep(0)
    async with asyncio.timeout(0.3 + QUICK.stop_timeout_s + 1):
        await one.stop()
    assert await sending != "confirmed"
    rabbitmq.thaw()
