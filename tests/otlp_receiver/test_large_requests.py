"""The largest requests are taken without holding up the event loop that everything else lives in."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from otlp_receiver.bodies import Form, Opener
from otlp_receiver.component import OtlpReceiver
from otlp_receiver.settings import ReceiverSettings
from otlp_receiver.signals import TRACES
from rabbitmq.settings import RabbitSettings
from telemetry import Counters
from tests.otlp_receiver.conftest import GatedConsumer, StartReceiver
from tests.support.otlp import server_span, trace_request
from tests.support.otlp_senders import JSON, Answer, GrpcSender, HttpSender
from tests.support.waiting import eventually

LARGEST = ReceiverSettings().max_request_bytes
LONGEST_PAUSE_S = RabbitSettings().heartbeat_s / 4
"""A broker gives a connection up that says nothing for a heartbeat; half of one would be cutting it fine."""


class Watchdog:
    """How often an event loop came round, and the longest time that it did not."""

    def __init__(self) -> None:
        self.ticks = 0
        self.longest_s = 0.0

    async def watch(self) -> None:
        last = time.monotonic()
        while True:
            await asyncio.sleep(0.005)
            now = time.monotonic()
            self.ticks += 1
            self.longest_s = max(self.longest_s, now - last)
            last = now


@asynccontextmanager
async def watched_loop() -> AsyncIterator[Watchdog]:
    watchdog = Watchdog()
    watching = asyncio.create_task(watchdog.watch())
    try:
        yield watchdog
    finally:
        watching.cancel()
        await asyncio.wait([watching])


def largest_traces(*, is_last_valid: bool) -> bytes:
    """Return a request just below the default limit: one scope, many spans, perhaps an invalid one at the end."""
    one = server_span(attributes={f"attribute.{at}": "some text" for at in range(50)})
    count = LARGEST // (one.ByteSize() + 4) - 1
    last = server_span(span_id=None if is_last_valid else b"")
    body = trace_request([one] * count + [last]).SerializeToString()
    assert 0.99 * LARGEST < len(body) <= LARGEST
    return body


def large_json(size_bytes: int) -> bytes:
    span = {"traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "b7ad6b7169203331", "name": "x" * 100}
    encoded = json.dumps(span).encode()
    spans = b",".join([encoded] * (size_bytes // len(encoded)))
    return b'{"resourceSpans":[{"scopeSpans":[{"spans":[' + spans + b"]}]}]}"


@pytest.mark.parametrize("is_last_valid", [True, False], ids=["valid", "with an invalid span"])
async def test_the_largest_request_is_opened_beside_the_loop(is_last_valid: bool) -> None:
    """While a thread opens 64 MiB, the loop comes round many times, and never waits for long."""
    body = largest_traces(is_last_valid=is_last_valid)
    opener = Opener(TRACES, LARGEST)
    async with watched_loop() as watchdog:
        opened = await asyncio.to_thread(opener.open, body, Form(), 0)
    assert (opened.batch.body is body) == is_last_valid
    assert watchdog.ticks > 5
    assert watchdog.longest_s < LONGEST_PAUSE_S


@pytest.mark.parametrize("way", ["grpc", "http", "gzip"])
async def test_the_largest_request_is_taken_without_a_long_pause(
    receiver: OtlpReceiver, consumer: GatedConsumer, way: str
) -> None:
    """From its first byte to its answer, over either transport, 64 MiB never stop the loop for long."""
    body = largest_traces(is_last_valid=True)
    sent, headers = (gzip.compress(body, 1), {"content-encoding": "gzip"}) if way == "gzip" else (body, {})
    async with watched_loop() as watchdog:
        if way == "grpc":
            answer = await GrpcSender(receiver.grpc_port).send(sent)
        else:
            answer = await HttpSender(receiver.http_port).send(sent, headers)
    assert answer.is_success
    assert [batch.body == body for batch in consumer.batches] == [True]
    assert watchdog.longest_s < LONGEST_PAUSE_S


async def test_a_stop_does_not_wait_for_a_large_request(
    start_receiver: StartReceiver, consumer: GatedConsumer, counters: Counters
) -> None:
    """What is still being decoded when the grace is over is refused as retryable, and never reaches the next stage."""
    receiver = await start_receiver(stop_grace_s=0)
    large = large_json(6 * 1024 * 1024)
    decoding = asyncio.create_task(HttpSender(receiver.http_port).send(large, {"content-type": JSON}))
    await eventually(lambda: counters.total("receiver_received_bytes") == len(large))
    async with watched_loop() as watchdog:
        await receiver.stop()
    assert (await decoding).code == 503
    assert watchdog.longest_s < LONGEST_PAUSE_S
    assert consumer.batches == []
    assert counters.total("receiver_refused_requests") == 1


async def test_small_requests_pass_a_large_one(
    receiver: OtlpReceiver, consumer: GatedConsumer, counters: Counters
) -> None:
    """While seconds' worth of JSON is decoded, requests that come later are answered earlier."""
    sender = HttpSender(receiver.http_port)
    answered: list[str] = []

    async def send(name: str, body: bytes, content_type: str) -> Answer:
        answer = await sender.send(body, {"content-type": content_type})
        answered.append(name)
        return answer

    large = large_json(12 * 1024 * 1024)
    decoding = asyncio.create_task(send("large", large, JSON))
    await eventually(lambda: counters.total("receiver_received_bytes") == len(large))
    for _ in range(3):
        small = await send("small", large_json(300), JSON)
        assert small.is_success
    assert (await decoding).is_success
    assert answered == ["small"] * 3 + ["large"]
    assert [batch.item_count > 50_000 for batch in consumer.batches] == [False] * 3 + [True]
