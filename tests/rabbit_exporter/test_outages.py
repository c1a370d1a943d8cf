"""The exporter with its spill, against a real broker that is away, frozen, blocked, full or forgetful."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from rabbit_exporter.component import RabbitExporter, build
from rabbit_exporter.settings import RabbitExporterSettings
from rabbit_exporter.spill import Spill
from rabbit_exporter.spill_record import record_bytes_of
from rabbitmq import Message, RabbitSettings, batch_of
from telemetry import Batch, Counters, PermanentError, RetryableError, Signal, StartError
from telemetry.queues import EXCHANGE, PROCESSOR_QUEUE
from tests.support.doubles import ManualClock
from tests.support.ports import free_port
from tests.support.rabbit import OLD_ENOUGH_S, QUICK, RabbitView, batch_number
from tests.support.waiting import eventually


@pytest.fixture
def counters() -> Counters:
    return Counters()


@pytest.fixture
async def exporter(view: RabbitView, counters: Counters, tmp_path: Path) -> Any:
    """Makes exporters that share counters and a data folder; those that a failed test leaves running are stopped."""
    made: list[RabbitExporter] = []

    def make(rabbit: RabbitSettings = QUICK, url: Any = None, **options: Any) -> RabbitExporter:
        settings = RabbitExporterSettings(**{"spill_after_s": 0.5, "stop_grace_s": 1.0, **options})
        made.append(build(settings, rabbit, url or view.url, counters, tmp_path))
        return made[-1]

    yield make
    for one in made:
        await one.stop()


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


async def test_a_broker_short_of_memory_lets_batches_be_spilled(
    view: RabbitView, rabbitmq: Any, counters: Counters, exporter: Any
) -> None:
    """RabbitMQ reads no more from who publishes; what it had taken in before is confirmed later and not sent again."""
    one = exporter()
    await one.start()
    rabbitmq.ctl("set_vm_memory_high_watermark", "absolute", "1MB")
    try:
        batches = await send(one, range(50))
        await eventually(lambda: one.is_spilling)
        batches += await send(one, range(50, 100), at_once=False)
        await one.check()
    finally:
        rabbitmq.ctl("set_vm_memory_high_watermark", "absolute", "1GB")
    await is_drained(one, counters)
    await one.stop()
    assert Counter(batch.batch_id for batch in arrived(view)) == Counter(batch.batch_id for batch in batches)


async def test_however_long_memory_is_short_nothing_is_sent_twice(
    view: RabbitView, rabbitmq: Any, counters: Counters, exporter: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that RabbitMQ has blocked is kept, because what went into it will be confirmed."""
    monkeypatch.setattr("rabbit_exporter.drain._STALL_S", 1.5)  # RabbitMQ needs a moment to say that it blocks
    one = exporter(spill_after_s=0.2)
    await one.start()
    rabbitmq.ctl("set_vm_memory_high_watermark", "absolute", "1MB")
    try:
        batches = await send(one, range(20))
        await asyncio.sleep(2.5)
    finally:
        rabbitmq.ctl("set_vm_memory_high_watermark", "absolute", "1GB")
    await eventually(lambda: held(counters) == 0)
    await one.stop()
    assert Counter(batch.batch_id for batch in arrived(view)) == Counter(batch.batch_id for batch in batches)
    assert counters.total("exporter_reconnects") == 0


async def test_a_connection_on_which_nothing_is_confirmed_is_made_anew(
    view: RabbitView, rabbitmq: Any, counters: Counters, exporter: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if its heartbeats would go on: what was under way is sent again on the next."""
    monkeypatch.setattr("rabbit_exporter.drain._STALL_S", 0.3)
    one = exporter(spill_after_s=0.2)
    await one.start()
    # A memory alarm that an earlier test raised may still be in force, and a frozen broker could not take it back.
    first = await send(one, range(20, 21))
    await eventually(lambda: not one.is_spilling and held(counters) == 0)
    rabbitmq.freeze()
    batches = first + await send(one, range(20))
    await eventually(lambda: not one.is_connected)
    rabbitmq.thaw()
    await eventually(lambda: held(counters) == 0)
    await one.stop()
    assert {batch.batch_id for batch in arrived(view)} == {batch.batch_id for batch in batches}
    assert counters.total("exporter_reconnects") >= 1


async def test_what_a_full_queue_refuses_waits_in_the_spill(
    view: RabbitView, counters: Counters, exporter: Any
) -> None:
    """The sender gets its OK, and the batches follow as soon as somebody takes from the queue."""
    one = exporter(QUICK.model_copy(update={"queue_max_bytes": 1024**2}))
    await one.start()
    batches = [Batch.of(Signal.TRACES, bytes([i]) * 100_000, item_count=1, received_unix_nano=i) for i in range(40)]
    for batch in batches:
        await one.consume(batch)
    assert one.is_spilling
    assert 0 < held(counters) < 40
    got: list[Batch] = []

    async def is_all_there() -> bool:
        got.extend(arrived(view))
        return len({batch.batch_id for batch in got}) == len(batches)

    await eventually(is_all_there, interval_s=0.2, timeout_s=20)
    assert sorted(got, key=lambda batch: batch.received_unix_nano) == batches
    await is_drained(one, counters)
    await one.stop()


async def test_a_batch_without_a_queue_is_spilled_until_the_queue_is_put_back(
    view: RabbitView, counters: Counters, exporter: Any
) -> None:
    """A deleted queue costs no sender an answer; the drain finds the one that was declared again."""
    one = exporter()
    await one.start()
    view.delete_queue(PROCESSOR_QUEUE)
    batches = await send(one, range(10), at_once=False)
    await is_drained(one, counters)
    assert {batch.batch_id for batch in arrived(view)} == {batch.batch_id for batch in batches}
    with view.channel() as channel:
        channel.exchange_delete(EXCHANGE)
    batches = await send(one, range(10, 20), at_once=False)
    await is_drained(one, counters)
    await one.stop()
    assert {batch.batch_id for batch in arrived(view)} >= {batch.batch_id for batch in batches}


async def test_everything_acknowledged_outlives_a_killed_broker(
    view: RabbitView, rabbitmq: Any, counters: Counters, exporter: Any
) -> None:
    """Under load, every batch is acknowledged, and every one is on the queue after the restart."""
    one = exporter()
    await one.start()
    await asyncio.sleep(OLD_ENOUGH_S)
    is_over = False
    sent: list[Batch] = []

    async def load(number: int) -> None:
        while not is_over:
            batch = batch_number(number)
            await one.consume(batch)
            sent.append(batch)
            number += 8
            await asyncio.sleep(0.03)

    senders = [asyncio.create_task(load(first)) for first in range(8)]
    await eventually(lambda: len(sent) > 50)
    await asyncio.to_thread(rabbitmq.kill)
    await eventually(lambda: held(counters) > 50)
    await asyncio.to_thread(rabbitmq.start)
    await is_drained(one, counters)
    is_over = True
    await asyncio.gather(*senders)
    await one.stop()
    assert {batch.batch_id for batch in arrived(view)} == {batch.batch_id for batch in sent}
    assert counters.total("exporter_failed_batches") == 0
    assert counters.total("exporter_published_batches") + counters.total("spill_written_batches") == len(sent)


async def test_only_when_the_spill_is_full_too_a_sender_is_refused(
    view: RabbitView, rabbitmq: Any, counters: Counters, exporter: Any
) -> None:
    """The refusal is retryable and says both reasons, readiness ends, and what was taken arrives all the same."""
    one = exporter(spill_max_bytes=20_000, spill_after_s=0.2)
    await one.start()
    rabbitmq.freeze()
    taken: list[Batch] = []
    while await is_taken(one, batch_number(len(taken))):
        taken.append(batch_number(len(taken)))
    assert len(taken) == 20_000 // record_bytes_of(batch_number(0))
    with pytest.raises(RetryableError, match=r"RabbitMQ did not confirm within 0.2 s, and the spill is full"):
        await one.consume(batch_number(0))
    with pytest.raises(RetryableError, match="and the spill is full or cannot be written to"):
        await one.check()
    assert counters.total("spill_refused_batches") == counters.total("exporter_failed_batches") == 2
    rabbitmq.thaw()
    await is_drained(one, counters)
    await one.check()
    await one.stop()
    assert arrived(view) == taken


async def test_a_broken_disk_leaves_the_way_to_the_broker_open(
    view: RabbitView, counters: Counters, exporter: Any, tmp_path: Path
) -> None:
    """With nothing in the spill no drain finds RabbitMQ well again, so a batch that the spill refuses does."""
    one = exporter()
    await one.start()
    view.delete_queue(PROCESSOR_QUEUE)
    shutil.rmtree(tmp_path / "spill" / "0")
    with pytest.raises(RetryableError, match=r"no queue .* the spill cannot be written to"):
        await one.consume(batch_number(1))
    assert one.is_spilling
    await eventually(lambda: is_taken(one, batch_number(2)))
    assert not one.is_spilling
    await one.stop()
    assert arrived(view) == [batch_number(2)]


async def is_taken(one: RabbitExporter, batch: Batch) -> bool:
    try:
        await one.consume(batch)
    except RetryableError:
        return False
    return True


async def test_a_stop_spills_what_has_no_confirm(view: RabbitView, rabbitmq: Any, exporter: Any) -> None:
    """Nobody who waits is refused; the next start publishes it."""
    one = exporter(spill_after_s=5.0, stop_grace_s=0.2)
    await one.start()
    rabbitmq.freeze()
    sending = [asyncio.create_task(one.consume(batch_number(number))) for number in range(20)]
    await asyncio.sleep(0)
    async with asyncio.timeout(3):
        await one.stop()
    await asyncio.gather(*sending)
    rabbitmq.thaw()
    one = exporter()
    await one.start()
    await eventually(lambda: view.waiting() >= 20)
    await one.stop()
    assert {batch.batch_id for batch in arrived(view)} == {batch_number(number).batch_id for number in range(20)}


async def test_what_was_written_by_a_dead_process_is_drained_by_a_living(
    view: RabbitView, counters: Counters, exporter: Any, tmp_path: Path
) -> None:
    """At the start and now and then, from every slot that nobody has locked."""
    settings = RabbitExporterSettings()
    dead = [Spill(tmp_path / "spill", settings, Counters()) for _ in range(3)]
    for number, spill in enumerate(dead):
        await spill.start()
        await spill.append(batch_number(number))
    for spill in dead[:2]:
        await spill.stop()
    one = exporter(spill_adopt_interval_s=0.2)
    await one.start()
    await eventually(lambda: view.waiting() == 2)
    await dead[2].stop()
    await eventually(lambda: view.waiting() == 3)
    await is_drained(one, counters)
    await one.stop()
    assert {batch.batch_id for batch in arrived(view)} == {batch_number(number).batch_id for number in range(3)}


async def test_a_batch_that_the_broker_never_takes_does_not_hold_up_the_line(
    view: RabbitView, rabbitmq: Any, counters: Counters, exporter: Any, tmp_path: Path
) -> None:
    """Beyond RabbitMQ's own limit a spilled batch goes to quarantine, and a new one is refused for good."""
    large = Batch.of(Signal.LOGS, bytes(200_000), item_count=7, received_unix_nano=5)
    spill = Spill(tmp_path / "spill", RabbitExporterSettings(), Counters())
    await spill.start()
    for batch in (batch_number(1), large, batch_number(2)):
        await spill.append(batch)
    await spill.stop()
    rabbitmq.ctl("eval", "application:set_env(rabbit, max_message_size, 100000).")
    try:
        one = exporter()
        await one.start()
        await is_drained(one, counters)
        with pytest.raises(PermanentError, match="more than RabbitMQ takes in a message"):
            await one.consume(large)
        await one.consume(batch_number(3))
        await one.stop()
    finally:
        rabbitmq.ctl("eval", "application:set_env(rabbit, max_message_size, 134217728).")
    assert {batch.batch_id for batch in arrived(view)} == {batch_number(number).batch_id for number in (1, 2, 3)}
    (kept,) = (tmp_path / "spill" / "0" / "quarantine").iterdir()
    assert kept.suffixes[-2:] == [".logs", ".pb"]
    assert kept.read_bytes() == large.body
    assert counters.total("spill_quarantined_records") == 1


async def test_a_damaged_spill_is_drained_around_the_damage(
    view: RabbitView, counters: Counters, exporter: Any, tmp_path: Path
) -> None:
    """The process starts, every intact batch arrives in order, and the bad stretch is counted."""
    spill = Spill(tmp_path / "spill", RabbitExporterSettings(), Counters())
    await spill.start()
    for number in range(10):
        await spill.append(batch_number(number))
    await spill.stop()
    (segment,) = (tmp_path / "spill" / "0").glob("*.spill")
    content = bytearray(segment.read_bytes())
    content[len(content) // 2] ^= 0xFF
    segment.write_bytes(content)
    one = exporter()
    await one.start()
    await is_drained(one, counters)
    await one.stop()
    got = arrived(view)
    assert len(got) == 9
    assert got == [batch_number(number) for number in range(10) if batch_number(number) in got]
    assert counters.total("spill_quarantined_records") == 1


@pytest.mark.parametrize("fault", ["login", "host", "queue"])
async def test_a_broker_that_refuses_at_the_start_still_stops_it(
    view: RabbitView, rabbitmq: Any, exporter: Any, fault: str
) -> None:
    """A spill rides out an outage, not a mistake: wrong credentials, virtual host or queues do not mend themselves."""
    url, rabbit = view.url.get_secret_value(), QUICK
    if fault == "queue":
        one = exporter()
        await one.start()
        await one.stop()
        rabbit = QUICK.model_copy(update={"queue_max_bytes": 1024**2})
    url = url.replace("guest:guest", "guest:wrong") if fault == "login" else url
    url = url.replace("%2F", "nowhere") if fault == "host" else url
    with pytest.raises(StartError, match="MODELWATCH_"):
        await exporter(rabbit, SecretStr(url)).start()


async def test_nobody_at_the_address_is_an_outage(view: RabbitView, counters: Counters, exporter: Any) -> None:
    """The start returns, batches are taken, and the stop leaves them for later."""
    one = exporter(url=SecretStr(f"amqp://guest:guest@127.0.0.1:{free_port()}/%2F"))
    await one.start()
    await one.check()
    batches = await send(one, range(5), at_once=False)
    await one.stop()
    one = exporter()
    await one.start()
    await is_drained(one, counters)
    await one.stop()
    assert arrived(view) == batches
