"""What becomes of a request, the same over OTLP/gRPC and OTLP/HTTP."""

from __future__ import annotations

import asyncio
import gzip

import grpc
import pytest
import structlog.testing
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans

from otlp_receiver.component import OtlpReceiver
from telemetry import Batch, Counters, PermanentError, RetryableError, Signal
from tests.otlp_receiver.conftest import GatedConsumer, StartReceiver
from tests.support.doubles import ManualClock
from tests.support.otlp import merged_request, resource, server_span, server_spans, trace_request
from tests.support.otlp_metrics import (
    gauge,
    histogram,
    histogram_point,
    log_record,
    log_request,
    metric_request,
    number_point,
)
from tests.support.otlp_senders import Sender, sender_of
from tests.support.waiting import eventually

BODY = trace_request(server_spans(3)).SerializeToString()
BODIES = {
    Signal.TRACES: BODY,
    Signal.METRICS: metric_request(
        [gauge(number_point(1), number_point(2.5)), histogram(histogram_point())]
    ).SerializeToString(),
    Signal.LOGS: log_request([log_record(), log_record(None), log_record({"a": [1]})]).SerializeToString(),
}
"""Three items each."""


def counted(counters: Counters, transport: str, signal: Signal = Signal.TRACES) -> dict[str, int]:
    """Return the receiver's counters of this transport and signal, but for the bytes."""
    labels = (("signal", signal.value), ("transport", transport))
    return {
        name: value
        for (name, its_labels), value in counters.snapshot().items()
        if its_labels == labels and name != "receiver_received_bytes"
    }


@pytest.mark.parametrize("signal", Signal)
@pytest.mark.parametrize("is_gzip", [False, True], ids=["plain", "gzip"])
async def test_a_request_is_handed_on_as_it_was_sent(
    sender: Sender,
    consumer: GatedConsumer,
    counters: Counters,
    clock: ManualClock,
    transport: str,
    is_gzip: bool,
    signal: Signal,
) -> None:
    """A request of any signal is answered with an empty message after its uncompressed bytes went on as one batch."""
    body = BODIES[signal]
    answer = await sender.send(body, is_gzip=is_gzip, signal=signal)
    assert answer.is_success
    assert answer.body == b""
    assert consumer.batches == [Batch.of(signal, body, item_count=3, received_unix_nano=clock())]
    assert counted(counters, transport, signal) == {"receiver_accepted_items": 3}


async def test_bytes_are_counted_as_they_came(
    sender: Sender, consumer: GatedConsumer, counters: Counters, transport: str
) -> None:
    """Whatever becomes of a request its bytes are counted: compressed over HTTP, decompressed by gRPC before we see."""
    consumer.errors = [RetryableError("later"), PermanentError("never")]
    compressed = len(gzip.compress(BODY)) if transport == "http" else len(BODY)
    for body, is_gzip in [(BODY, False), (BODY, False), (BODY, True), (b"\xff", False)]:
        await sender.send(body, is_gzip=is_gzip)
    await eventually(lambda: counters.total("receiver_received_bytes") == 2 * len(BODY) + compressed + 1)


@pytest.mark.parametrize("signal", Signal)
async def test_what_is_in_flight_can_be_seen(
    sender: Sender, consumer: GatedConsumer, counters: Counters, transport: str, signal: Signal
) -> None:
    """Two gauges tell the requests of each signal and transport that wait for the next stage, and their bytes."""
    labels = (("signal", signal.value), ("transport", transport))

    def in_flight() -> dict[str, float]:
        return {name: value for (name, its_labels), value in counters.gauges().items() if its_labels == labels}

    consumer.gate.clear()
    waiting = asyncio.create_task(sender.send(BODIES[signal], signal=signal))
    await eventually(lambda: consumer.waiting == 1)
    size = len(BODIES[signal])
    assert in_flight() == {"receiver_in_flight_requests": 1, "receiver_in_flight_bytes": size}
    assert sum(counters.gauges().values()) == 1 + size, "and nothing is said to be in flight elsewhere"
    consumer.gate.set()
    assert (await waiting).is_success
    assert set(counters.gauges().values()) == {0}


@pytest.mark.parametrize("is_gzip", [False, True], ids=["plain", "gzip"])
async def test_a_large_request_is_handed_on_whole(sender: Sender, consumer: GatedConsumer, is_gzip: bool) -> None:
    """Requests that are checked in pieces in a worker thread arrive unchanged, with the right count."""
    groups = [(resource(f"service-{at}"), server_spans(1000)) for at in range(4)]
    body = merged_request(groups).SerializeToString()
    assert len(body) > 2 * 256 * 1024
    assert (await sender.send(body, is_gzip=is_gzip)).is_success
    assert [(batch.body == body, batch.item_count) for batch in consumer.batches] == [(True, 4000)]


@pytest.mark.parametrize(
    ("signal", "request_message"),
    [
        pytest.param(Signal.METRICS, ExportMetricsServiceRequest(), id="no metrics"),
        pytest.param(Signal.METRICS, metric_request([gauge()]), id="no points"),
        pytest.param(Signal.LOGS, ExportLogsServiceRequest(), id="no logs"),
        pytest.param(Signal.LOGS, log_request([]), id="no log records"),
        pytest.param(Signal.TRACES, ExportTraceServiceRequest(), id="no resources"),
        pytest.param(Signal.TRACES, ExportTraceServiceRequest(resource_spans=[ResourceSpans()]), id="no scopes"),
        pytest.param(
            Signal.TRACES,
            ExportTraceServiceRequest(resource_spans=[ResourceSpans(scope_spans=[ScopeSpans()])]),
            id="no spans",
        ),
    ],
)
async def test_a_request_without_items_succeeds_and_goes_no_further(
    sender: Sender, consumer: GatedConsumer, signal: Signal, request_message: Message
) -> None:
    """Empty requests and empty envelopes are answered with success, and the next stage hears nothing of them."""
    answer = await sender.send(request_message.SerializeToString(), signal=signal)
    assert (answer.is_success, answer.body) == (True, b"")
    assert consumer.batches == []


async def test_fields_of_a_newer_schema_are_passed_on(sender: Sender, consumer: GatedConsumer) -> None:
    """Unknown fields neither disturb nor get lost: the bytes are not encoded again."""
    body = BODY + b"\xfa\x3f\x03new"
    assert (await sender.send(body)).is_success
    assert consumer.batches[0].body == body


def with_broken_text() -> bytes:
    body = trace_request([server_span("a name with a marker")]).SerializeToString()
    return body.replace(b"marker", b"mark\xffr")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"not protobuf", id="not protobuf"),
        pytest.param(BODY[:-1], id="cut short"),
        pytest.param(with_broken_text(), id="invalid UTF-8"),
        pytest.param(b"\x0a" * 200_000, id="deep"),
        pytest.param(BODY * 2000 + b"\xff", id="large, broken at its end"),
    ],
)
@pytest.mark.parametrize("is_gzip", [False, True], ids=["plain", "gzip"])
async def test_malformed_bytes_are_rejected_for_good(
    sender: Sender, consumer: GatedConsumer, counters: Counters, transport: str, body: bytes, is_gzip: bool
) -> None:
    """Bytes that are no request get INVALID_ARGUMENT or 400, are counted, and reach nobody."""
    answer = await sender.send(body, is_gzip=is_gzip)
    assert answer.has_code(grpc.StatusCode.INVALID_ARGUMENT, 400)
    assert not answer.is_retryable
    assert "ExportTraceServiceRequest" in answer.message
    assert consumer.batches == []
    assert counted(counters, transport) == {"receiver_rejected_requests": 1}


@pytest.mark.parametrize("is_gzip", [False, True], ids=["plain", "gzip"])
async def test_the_size_limit_is_exact_before_and_after_decompression(
    start_receiver: StartReceiver, consumer: GatedConsumer, counters: Counters, transport: str, is_gzip: bool
) -> None:
    """A request of exactly the limit passes; one byte more gets RESOURCE_EXHAUSTED or 413, without a retry hint."""
    receiver = await start_receiver(max_request_bytes=len(BODY))
    sender = sender_of(transport, receiver)
    assert (await sender.send(BODY, is_gzip=is_gzip)).is_success
    too_large = await sender.send(BODY + b"\0", is_gzip=is_gzip)
    assert too_large.has_code(grpc.StatusCode.RESOURCE_EXHAUSTED, 413)
    assert too_large.retry_after_s is None
    assert len(consumer.batches) == 1
    await eventually(lambda: counted(counters, transport).get("receiver_rejected_requests") == 1)


async def test_a_decompression_bomb_is_rejected(start_receiver: StartReceiver, transport: str) -> None:
    """64 MB of zeros in 64 KB of gzip are rejected as too large, and the receiver serves on."""
    receiver = await start_receiver(max_request_bytes=1_000_000)
    sender = sender_of(transport, receiver)
    bomb = await sender.send(bytes(64_000_000), is_gzip=True)
    assert bomb.has_code(grpc.StatusCode.RESOURCE_EXHAUSTED, 413)
    assert (await sender.send(BODY)).is_success


async def test_a_retryable_error_of_the_next_stage_is_a_retryable_answer(
    sender: Sender, consumer: GatedConsumer, counters: Counters, transport: str
) -> None:
    """UNAVAILABLE or 503 carries the delay that the next stage asks for; the same bytes then make the same batch."""
    consumer.errors = [RetryableError("the queue is away for a moment", retry_after_s=1.5)]
    refused = await sender.send(BODY)
    assert refused.has_code(grpc.StatusCode.UNAVAILABLE, 503)
    assert refused.is_retryable
    assert refused.message == "the queue is away for a moment"
    assert refused.retry_after_s == (1.5 if transport == "grpc" else 2)
    assert (await sender.send(BODY)).is_success
    assert [batch.item_count for batch in consumer.batches] == [3]
    assert counted(counters, transport) == {"receiver_refused_items": 3, "receiver_accepted_items": 3}


async def test_a_permanent_error_of_the_next_stage_is_a_final_answer(
    sender: Sender, consumer: GatedConsumer, counters: Counters, transport: str
) -> None:
    """Data that the next stage can never take gets INVALID_ARGUMENT or 400, with its reason."""
    consumer.errors = [PermanentError("these spans are from the future")]
    rejected = await sender.send(BODY)
    assert rejected.has_code(grpc.StatusCode.INVALID_ARGUMENT, 400)
    assert not rejected.is_retryable
    assert rejected.retry_after_s is None
    assert rejected.message == "these spans are from the future"
    assert counted(counters, transport) == {"receiver_rejected_items": 3}


@pytest.mark.parametrize("kind", [ValueError, TimeoutError, asyncio.CancelledError])
async def test_an_unforeseen_error_is_retryable_and_tells_nothing(
    sender: Sender, consumer: GatedConsumer, counters: Counters, transport: str, kind: type[Exception]
) -> None:
    """A defect of ours is answered as UNAVAILABLE or 503, never UNKNOWN or 500, and its text stays with us."""
    consumer.errors = [kind("a secret")]
    with structlog.testing.capture_logs() as logs:
        answer = await sender.send(BODY)
    is_logged = kind is not asyncio.CancelledError  # which somebody wanted
    assert [entry["log_level"] for entry in logs] == ["error"] * is_logged
    assert answer.has_code(grpc.StatusCode.UNAVAILABLE, 503)
    assert "secret" not in answer.message
    assert counted(counters, transport) == {"receiver_refused_items": 3}
    assert (await sender.send(BODY)).is_success


async def test_more_requests_than_the_bound_are_refused_at_once(
    start_receiver: StartReceiver, consumer: GatedConsumer, counters: Counters, transport: str
) -> None:
    """While as many requests wait as may, another gets a quick retryable answer; those that wait all succeed."""
    receiver = await start_receiver(max_in_flight_requests=3)
    sender = sender_of(transport, receiver)
    consumer.gate.clear()
    waiting = [asyncio.create_task(sender.send(BODY)) for _ in range(3)]
    await eventually(lambda: consumer.waiting == 3)
    refused = await asyncio.wait_for(sender.send(BODY), 2)
    assert refused.has_code(grpc.StatusCode.UNAVAILABLE, 503)
    assert refused.retry_after_s == 1
    consumer.gate.set()
    assert all(answer.is_success for answer in await asyncio.gather(*waiting))
    assert (await sender.send(BODY)).is_success
    assert counted(counters, transport) == {"receiver_refused_requests": 1, "receiver_accepted_items": 12}


@pytest.mark.parametrize("is_gzip", [False, True], ids=["plain", "gzip"])
async def test_more_bytes_than_the_bound_are_refused_at_once(
    start_receiver: StartReceiver, consumer: GatedConsumer, transport: str, is_gzip: bool
) -> None:
    """The bound on bytes counts what requests hold, decompressed, until their fate is decided."""
    body = trace_request(server_spans(500)).SerializeToString()
    receiver = await start_receiver(max_request_bytes=len(body), max_in_flight_bytes=len(body) * 5 // 2)
    sender = sender_of(transport, receiver)
    consumer.gate.clear()
    waiting = [asyncio.create_task(sender.send(body, is_gzip=is_gzip)) for _ in range(2)]
    await eventually(lambda: consumer.waiting == 2)
    refused = await asyncio.wait_for(sender.send(body, is_gzip=is_gzip), 2)
    assert refused.has_code(grpc.StatusCode.UNAVAILABLE, 503)
    assert refused.retry_after_s == 1
    consumer.gate.set()
    assert all(answer.is_success for answer in await asyncio.gather(*waiting))
    assert (await sender.send(body)).is_success


async def test_many_senders_at_once_are_all_served(receiver: OtlpReceiver, consumer: GatedConsumer) -> None:
    """Fifty requests over both transports at the same time arrive as fifty batches with fifty ids."""
    bodies = [trace_request(server_spans(2, end_ns=10**18 + at)).SerializeToString() for at in range(50)]
    senders = [sender_of("grpc", receiver), sender_of("http", receiver)]
    answers = await asyncio.gather(*(senders[at % 2].send(body) for at, body in enumerate(bodies)))
    assert all(answer.is_success for answer in answers)
    assert sorted(batch.body for batch in consumer.batches) == sorted(bodies)
    assert len({batch.batch_id for batch in consumer.batches}) == 50
