"""The RabbitMQ source against a real broker, with consumers that store, refuse, are slow or are killed."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pika
import pytest

from processor.rabbit_source import RabbitSource
from processor.rabbit_source_settings import RabbitSourceSettings
from rabbit_exporter.component import build
from rabbit_exporter.settings import RabbitExporterSettings
from rabbitmq import Message, batch_of
from telemetry import Batch, Consumer, Counters, PermanentError, RetryableError, Signal
from telemetry.queues import DEAD_LETTER_QUEUE, PROCESSOR_QUEUE, REASON_HEADER
from tests.support.doubles import ManualClock, RecordingConsumer, RememberingAttempts
from tests.support.rabbit import OLD_ENOUGH_S, QUICK, RabbitView, batch_number
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
PATIENT = {"retry_min_s": 0.02, "retry_max_s": 0.2}


class StallingConsumer(RecordingConsumer):
    """Keeps what it is given and returns only once `gate` is open."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()

    async def consume(self, batch: Batch) -> None:
        self.batches.append(batch)
        await self.gate.wait()


class ChoosyConsumer(RecordingConsumer):
    """Raises what `judge` returns for a batch, and keeps the batch when that is `None`."""

    def __init__(self, judge: Callable[[Batch], Exception | None]) -> None:
        super().__init__()
        self.judge = judge

    async def consume(self, batch: Batch) -> None:
        error = self.judge(batch)
        if error is not None:
            raise error
        await super().consume(batch)


@pytest.fixture
def view(rabbitmq: Any) -> RabbitView:
    """A broker on which nothing of ModelWatch's is declared."""
    view = RabbitView(rabbitmq.url)
    view.clear()
    return view


@pytest.fixture
def counters() -> Counters:
    return Counters()


def source(view: RabbitView, consumer: Consumer, counters: Counters, **options: Any) -> RabbitSource:
    settings = RabbitSourceSettings(**{**PATIENT, **options})
    return RabbitSource(settings, QUICK, view.url, consumer, RememberingAttempts(), counters, ManualClock())


@contextlib.asynccontextmanager
async def running(one: RabbitSource) -> AsyncIterator[RabbitSource]:
    await one.start()
    try:
        yield one
    finally:
        await one.stop()


async def publish(view: RabbitView, batches: list[Batch]) -> None:
    """Send batches through a real exporter."""
    settings = RabbitExporterSettings(max_unconfirmed_messages=10_000, spill_max_bytes=0)
    exporter = build(settings, QUICK, view.url, Counters(), Path("no spill"))
    await exporter.start()
    try:
        await asyncio.gather(*(exporter.consume(batch) for batch in batches))
    finally:
        await exporter.stop()


def ids(batches: list[Batch]) -> set[bytes]:
    return {batch.batch_id for batch in batches}


async def test_every_batch_arrives_equal_and_once(view: RabbitView, counters: Counters) -> None:
    """What the exporter sent is what the consumer gets, and afterwards the queue is empty."""
    batches = [batch_number(index, spans=1 + index % 5) for index in range(500)]
    batches.append(Batch.of(Signal.METRICS, bytes(range(256)) * 2_000, item_count=3, received_unix_nano=5))
    consumer = RecordingConsumer()
    async with running(source(view, consumer, counters)):
        await publish(view, batches)
        await eventually(lambda: len(consumer.batches) >= len(batches))
    assert sorted(consumer.batches, key=lambda one: one.batch_id) == sorted(batches, key=lambda one: one.batch_id)
    assert view.waiting() == 0


async def test_a_message_of_the_collector_is_taken(view: RabbitView, counters: Counters) -> None:
    """Body and routing key are all that a Collector's exporter writes."""
    body = batch_number(1, spans=4).body
    consumer = RecordingConsumer()
    async with running(source(view, consumer, counters)):
        view.publish(body, "otlp_spans", pika.BasicProperties(delivery_mode=2))
        await eventually(lambda: consumer.batches)
    expected = Batch.of(Signal.TRACES, body, item_count=4, received_unix_nano=ManualClock()())
    assert consumer.batches == [expected]


async def test_start_stop_start_stop(view: RabbitView, counters: Counters) -> None:
    """It consumes between start and stop only; what comes outside of them waits on the queue."""
    consumer = RecordingConsumer()
    one = source(view, consumer, counters)
    await one.stop()
    for index in range(2):
        await one.start()
        assert one.is_connected
        await publish(view, [batch_number(index)])
        await eventually(lambda wanted=index + 1: len(consumer.batches) == wanted)
        await one.stop()
        await one.stop()
        assert not one.is_connected
    await publish(view, [batch_number(9)])
    assert view.waiting() == 1
    assert counters.total("rabbit_source_requeued_batches") == 0


async def test_a_batch_is_acknowledged_only_after_it_is_stored(view: RabbitView, counters: Counters) -> None:
    """No more than `prefetch` are in hand, none is acknowledged early, and all are in the end."""
    consumer = StallingConsumer()
    async with running(source(view, consumer, counters, prefetch=10)):
        await publish(view, [batch_number(index) for index in range(30)])
        await eventually(lambda: len(consumer.batches) == 10)
        assert view.waiting() == 20
        consumer.gate.set()
        await eventually(lambda: len(consumer.batches) == 30)
    assert view.waiting() == 0


async def test_one_slow_batch_holds_up_no_other(view: RabbitView, counters: Counters) -> None:
    """The others are acknowledged past it, so that the prefetch limit does not close."""
    slow = batch_number(0)
    let_go = asyncio.Event()

    class OneSlow(RecordingConsumer):
        async def consume(self, batch: Batch) -> None:
            if batch == slow:
                await let_go.wait()
            await super().consume(batch)

    consumer = OneSlow()
    async with running(source(view, consumer, counters, prefetch=5)):
        await publish(view, [batch_number(index) for index in range(100)])
        await eventually(lambda: len(consumer.batches) == 99)
        let_go.set()
        await eventually(lambda: len(consumer.batches) == 100)
    assert view.waiting() == 0


async def test_a_batch_that_cannot_be_stored_yet_is_tried_again_with_pauses(
    view: RabbitView, counters: Counters
) -> None:
    """Each attempt waits longer; nothing is lost, nothing is dead-lettered, and there is no storm of attempts."""
    attempts: Counter[bytes] = Counter()
    mends_at = time.monotonic() + 1.0

    def judge(batch: Batch) -> Exception | None:
        attempts[batch.batch_id] += 1
        return None if time.monotonic() > mends_at else RetryableError("the database is away", retry_after_s=0.01)

    consumer = ChoosyConsumer(judge)
    batches = [batch_number(index) for index in range(20)]
    async with running(source(view, consumer, counters)):
        await publish(view, batches)
        await eventually(lambda: len(consumer.batches) == 20)
    assert ids(consumer.batches) == ids(batches)
    assert max(attempts.values()) < 20
    assert view.waiting() == 0
    assert view.waiting(DEAD_LETTER_QUEUE) == 0


async def test_a_mistake_of_the_consumer_costs_no_batch(view: RabbitView, counters: Counters) -> None:
    """An unexpected exception says nothing about the data, so the batch is tried again."""
    consumer = RecordingConsumer(ZeroDivisionError("a mistake"), KeyError("another"))
    async with running(source(view, consumer, counters)):
        await publish(view, [batch_number(1)])
        await eventually(lambda: consumer.batches)
    assert consumer.batches == [batch_number(1)]
    assert view.waiting(DEAD_LETTER_QUEUE) == 0


async def test_poison_is_set_aside_with_its_reason_and_its_neighbours_are_stored(
    view: RabbitView, counters: Counters
) -> None:
    """A dead letter keeps its bytes and properties, says why it is there, and can be read again."""
    poison = batch_number(7)
    consumer = ChoosyConsumer(lambda batch: PermanentError("span 3 ends before 1970") if batch == poison else None)
    async with running(source(view, consumer, counters)):
        await publish(view, [batch_number(index) for index in range(20)])
        await eventually(lambda: view.waiting(DEAD_LETTER_QUEUE) == 1 and len(consumer.batches) == 19)
    [(method, properties, body)] = view.take_all(DEAD_LETTER_QUEUE)
    assert properties.headers[REASON_HEADER] == "span 3 ends before 1970"
    assert batch_of(Message(method.routing_key, properties, body), ManualClock()) == poison
    assert counters.total("rabbit_source_dead_lettered_batches") == 1
    assert view.waiting() == 0


@pytest.mark.parametrize(
    ("routing_key", "properties", "body", "reason"),
    [
        ("traces", pika.BasicProperties(), b"\xff\xff\xff", "not an OTLP traces request as protobuf"),
        ("traces", pika.BasicProperties(content_type="application/json"), b"{}", "content type"),
        (
            "logs",
            pika.BasicProperties(message_id="x", headers={"strange": [1, {"a": None}]}),
            b"\x00",
            "not an OTLP logs",
        ),
    ],
)
async def test_what_cannot_be_read_is_set_aside_with_its_reason(
    view: RabbitView, counters: Counters, routing_key: str, properties: pika.BasicProperties, body: bytes, reason: str
) -> None:
    """It never reaches the consumer and never comes back, and its bytes are kept."""
    consumer = RecordingConsumer()
    async with running(source(view, consumer, counters)):
        view.publish(body, routing_key, properties)
        await eventually(lambda: view.waiting(DEAD_LETTER_QUEUE) == 1)
    [(_, kept, kept_body)] = view.take_all(DEAD_LETTER_QUEUE)
    assert kept_body == body
    assert reason in kept.headers[REASON_HEADER]
    assert consumer.batches == []
    assert view.waiting() == 0


async def test_poison_waits_where_it_is_while_the_dead_letters_have_no_place(
    view: RabbitView, counters: Counters
) -> None:
    """A deleted dead-letter queue loses nothing: the queue is put back and the letter arrives."""
    consumer = RecordingConsumer(PermanentError("bad"))
    async with running(source(view, consumer, counters)):
        view.delete_queue(DEAD_LETTER_QUEUE)
        view.publish(batch_number(1).body, "traces")
        await eventually(lambda: counters.total("rabbit_source_dead_lettered_batches") == 1)
    assert len(view.take_all(DEAD_LETTER_QUEUE)) == 1


async def test_cut_connections_lose_nothing(view: RabbitView, rabbitmq: Any, counters: Counters) -> None:
    """Cut in mid-stream again and again, every batch is consumed at least once, and few are consumed twice."""
    permits = asyncio.Semaphore(0)

    class Metered(RecordingConsumer):
        async def consume(self, batch: Batch) -> None:
            await permits.acquire()
            await super().consume(batch)

    consumer = Metered()
    batches = [batch_number(index) for index in range(500)]
    async with running(source(view, consumer, counters, prefetch=16)):
        await publish(view, batches)
        for cut in range(3):
            wanted = len(consumer.batches) + 75
            give(permits, 75)
            await eventually(lambda wanted=wanted: len(consumer.batches) == wanted)
            await asyncio.to_thread(rabbitmq.ctl, "close_all_connections", "a test")
            await eventually(lambda cut=cut: counters.total("rabbit_source_reconnects") == cut + 1)
        give(permits, 1_000)
        await eventually(lambda: ids(consumer.batches) == ids(batches))
        await eventually(lambda: view.waiting() == 0)
    assert len(consumer.batches) <= len(batches) + 3 * 16
    assert view.take_all(DEAD_LETTER_QUEUE) == []


def give(permits: asyncio.Semaphore, count: int) -> None:
    for _ in range(count):
        permits.release()


async def test_a_deleted_queue_is_put_back_and_consumed_again(view: RabbitView, counters: Counters) -> None:
    """The broker's cancel makes the source declare and subscribe anew."""
    consumer = RecordingConsumer()
    async with running(source(view, consumer, counters)):
        view.delete_queue(PROCESSOR_QUEUE)
        await eventually(lambda: counters.total("rabbit_source_reconnects") == 1)
        await publish(view, [batch_number(1)])
        await eventually(lambda: consumer.batches == [batch_number(1)])


async def test_a_killed_broker_comes_back_with_what_was_not_acknowledged(
    view: RabbitView, rabbitmq: Any, counters: Counters
) -> None:
    """The source survives the broker's death and goes on by itself; what it held comes again."""
    consumer = StallingConsumer()
    batches = [batch_number(index) for index in range(100)]
    async with running(source(view, consumer, counters, prefetch=10)):
        await publish(view, batches)
        await eventually(lambda: len(consumer.batches) == 10)
        await asyncio.sleep(OLD_ENOUGH_S)
        await asyncio.to_thread(rabbitmq.kill)
        await asyncio.to_thread(rabbitmq.start)
        consumer.gate.set()
        await eventually(lambda: ids(consumer.batches) == ids(batches), timeout_s=30)
    assert len(consumer.batches) == 110


async def test_a_worker_killed_in_mid_stream_loses_nothing(view: RabbitView, counters: Counters) -> None:
    """What it had stored stays stored; everything else, with what it had in hand, goes to the next worker."""
    batches = [batch_number(index) for index in range(300)]
    consumer = RecordingConsumer()
    async with running(source(view, consumer, counters)):
        pass  # declares the queue
    await publish(view, batches)
    command = [sys.executable, "-m", "tests.support.rabbit_worker", view.url.get_secret_value()]
    worker = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, cwd=ROOT)
    assert worker.stdout is not None
    stored_by_worker = {await worker.stdout.readline() for _ in range(100)}
    worker.kill()
    stored_by_worker |= set((await worker.stdout.read()).splitlines(keepends=True))
    await worker.wait()
    stored = {bytes.fromhex(line.decode().strip()) for line in stored_by_worker if len(line) == 33}
    assert len(stored) < len(batches)
    async with running(source(view, consumer, counters)):
        await eventually(lambda: stored | ids(consumer.batches) == ids(batches))
        await eventually(lambda: view.waiting() == 0)
    assert len(stored) + len(consumer.batches) <= len(batches) + 8
    assert view.take_all(DEAD_LETTER_QUEUE) == []


async def test_a_stop_finishes_what_is_in_hand_and_hands_back_the_rest(view: RabbitView, counters: Counters) -> None:
    """Within the grace a batch is stored and acknowledged; what takes longer is delivered to the next worker."""
    quick, never = batch_number(1), batch_number(2)

    class QuickAndNever(RecordingConsumer):
        async def consume(self, batch: Batch) -> None:
            await super().consume(batch)
            await asyncio.sleep(0.1 if batch == quick else 60)

    consumer = QuickAndNever()
    one = source(view, consumer, counters, stop_grace_s=0.5)
    await one.start()
    await publish(view, [quick, never])
    await eventually(lambda: len(consumer.batches) == 2)
    began = time.monotonic()
    await one.stop()
    assert time.monotonic() - began < 2
    assert counters.total("rabbit_source_requeued_batches") == 1
    assert [body for _, _, body in view.take_all()] == [never.body]


async def test_a_stop_is_bounded_when_the_broker_is_frozen(view: RabbitView, rabbitmq: Any, counters: Counters) -> None:
    """Neither the end of the subscription nor the close waits for an answer that does not come."""
    one = source(view, RecordingConsumer(), counters, stop_grace_s=0.2)
    await one.start()
    rabbitmq.freeze()
    async with asyncio.timeout(0.2 + 3 * QUICK.stop_timeout_s + 1):
        await one.stop()
    rabbitmq.thaw()
