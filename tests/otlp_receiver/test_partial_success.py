"""Requests of which some items are invalid by themselves: what goes on, and what the sender hears."""

from __future__ import annotations

import json

import grpc
import httpx
import pytest
from google.protobuf.message import Message
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from otlp_receiver.component import OtlpReceiver
from telemetry import Batch, Counters, PermanentError, RetryableError, Signal
from tests.otlp_receiver.conftest import GatedConsumer
from tests.otlp_receiver.test_requests import counted
from tests.support.doubles import ManualClock
from tests.support.otlp import merged_request, resource, server_span, server_spans, trace_request
from tests.support.otlp_metrics import gauge, histogram, histogram_point, metric_request, number_point
from tests.support.otlp_senders import Sender

GOOD_SPANS = server_spans(2)
BAD_SPANS = [server_span(trace_id=b""), server_span(span_id=bytes(8)), server_span(trace_id=bytes(16))]
MIXED_TRACES = trace_request([BAD_SPANS[0], GOOD_SPANS[0], *BAD_SPANS[1:], GOOD_SPANS[1]])
GOOD_METRICS = [gauge(number_point(1)), histogram(histogram_point())]
MIXED_METRICS = metric_request([gauge(number_point(1), number_point(None)), GOOD_METRICS[1]])

CASES = [
    pytest.param(Signal.TRACES, MIXED_TRACES, trace_request(GOOD_SPANS), 3, id="traces"),
    pytest.param(Signal.METRICS, MIXED_METRICS, metric_request(GOOD_METRICS), 1, id="metrics"),
]


def said(signal: Signal, body: bytes) -> tuple[int, str]:
    """Return how many items a response says were rejected, and why."""
    if signal is Signal.TRACES:
        partial = ExportTraceServiceResponse.FromString(body).partial_success
        return partial.rejected_spans, partial.error_message
    points = ExportMetricsServiceResponse.FromString(body).partial_success
    return points.rejected_data_points, points.error_message


@pytest.mark.parametrize(("signal", "mixed", "good", "rejected"), CASES)
@pytest.mark.parametrize("is_gzip", [False, True], ids=["plain", "gzip"])
async def test_good_neighbours_are_kept(
    sender: Sender,
    consumer: GatedConsumer,
    counters: Counters,
    clock: ManualClock,
    transport: str,
    signal: Signal,
    mixed: Message,
    good: Message,
    rejected: int,
    is_gzip: bool,
) -> None:
    """The answer is a success that counts the invalid items and says why; a batch of the others goes on."""
    answer = await sender.send(mixed.SerializeToString(), is_gzip=is_gzip, signal=signal)
    assert answer.is_success
    count, message = said(signal, answer.body)
    assert count == rejected
    assert f"{rejected} of {rejected + 2}" in message
    body = consumer.batches[0].body
    assert type(good).FromString(body) == good
    assert consumer.batches == [Batch.of(signal, body, item_count=2, received_unix_nano=clock())]
    assert counted(counters, transport, signal) == {"receiver_accepted_items": 2, "receiver_rejected_items": rejected}


async def test_nothing_goes_on_if_no_item_is_valid(
    sender: Sender, consumer: GatedConsumer, counters: Counters, transport: str
) -> None:
    """A request of invalid items only is answered with a partial success too, and the next stage hears nothing."""
    answer = await sender.send(trace_request(BAD_SPANS).SerializeToString())
    assert answer.is_success
    assert said(Signal.TRACES, answer.body)[0] == 3
    assert consumer.batches == []
    assert counted(counters, transport) == {"receiver_accepted_items": 0, "receiver_rejected_items": 3}


@pytest.mark.parametrize(
    ("error", "grpc_code", "status", "name"),
    [
        (RetryableError("later"), grpc.StatusCode.UNAVAILABLE, 503, "receiver_refused_items"),
        (PermanentError("never"), grpc.StatusCode.INVALID_ARGUMENT, 400, "receiver_rejected_items"),
    ],
)
async def test_a_failure_of_the_next_stage_is_never_a_partial_success(
    sender: Sender,
    consumer: GatedConsumer,
    counters: Counters,
    transport: str,
    error: Exception,
    grpc_code: grpc.StatusCode,
    status: int,
    name: str,
) -> None:
    """If the good items cannot be handed on, the answer is about that alone, and stands for all items."""
    consumer.errors = [error]
    answer = await sender.send(MIXED_TRACES.SerializeToString())
    assert answer.has_code(grpc_code, status)
    assert answer.is_retryable == isinstance(error, RetryableError)
    assert counted(counters, transport) == {name: 5}


async def test_a_large_request_keeps_its_good_items(sender: Sender, consumer: GatedConsumer) -> None:
    """Requests that are inspected in pieces lose exactly their invalid spans; the answer stays short."""
    groups = [(resource(f"service-{at}"), server_spans(1000) + BAD_SPANS * 300) for at in range(4)]
    body = merged_request(groups).SerializeToString()
    assert len(body) > 3 * 256 * 1024
    answer = await sender.send(body)
    assert said(Signal.TRACES, answer.body)[0] == 3600
    assert len(answer.body) < 1000
    kept = ExportTraceServiceRequest.FromString(consumer.batches[0].body)
    assert kept == merged_request((of, spans[:1000]) for of, spans in groups)
    assert consumer.batches[0].item_count == 4000


async def test_json_hears_of_it_in_json(receiver: OtlpReceiver, consumer: GatedConsumer) -> None:
    """A JSON request gets its partial success in lowerCamelCase, with the count as a string."""
    span = {"traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "b7ad6b7169203331", "name": "work"}
    spans = [span, span | {"traceId": ""}, span | {"spanId": "00" * 8}]
    async with httpx.AsyncClient() as client:
        response = await client.post(
            f"http://127.0.0.1:{receiver.http_port}/v1/traces",
            json={"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]},
        )
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    partial = json.loads(response.content)["partialSuccess"]
    assert partial["rejectedSpans"] == "2"
    assert "2 of 3 spans" in partial["errorMessage"]
    assert [batch.item_count for batch in consumer.batches] == [1]
