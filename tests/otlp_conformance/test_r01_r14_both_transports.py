"""Requirements 1 to 14 of docs/otlp.md: what holds for OTLP/gRPC and OTLP/HTTP alike."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf.message import Message
from opentelemetry.proto.logs.v1.logs_pb2 import ResourceLogs, ScopeLogs
from opentelemetry.proto.metrics.v1.metrics_pb2 import Gauge, Metric, ResourceMetrics, ScopeMetrics
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans

from otlp_receiver.component import build
from otlp_receiver.settings import MIB, ReceiverSettings
from processor.component import build as build_processor
from processor.settings import ProcessorSettings
from storage.component import build_in_process_live_feed
from storage.ports import SeriesFilter
from storage.settings import StorageSettings
from telemetry import Counters, RetryableError
from tests.otlp_conformance.conftest import Ways
from tests.otlp_conformance.items import INVALID_POINTS, INVALID_SPANS, half_invalid
from tests.otlp_conformance.samples import (
    KINDS,
    LOGS,
    METRICS,
    TRACES,
    data_point,
    log_record,
    logs_request,
    names_in,
    read,
    span,
    spans_request,
)
from tests.otlp_conformance.ways import MAX_RESPONSE_BYTES, Way, send, way_of
from tests.otlp_receiver.conftest import GatedConsumer, StartReceiver
from tests.support.doubles import ManualClock
from tests.support.memory_history import MemoryHistory
from tests.support.otlp import END_NS, key_values, resource

NAMES = ["item 0", "item 1"]


async def test_r01_gzip_requests_are_accepted(ways: Ways, consumer: GatedConsumer) -> None:
    """A gzip-compressed request of each signal is a full success and arrives decompressed."""
    for way in ways:
        with ways.test(way):
            for kind in KINDS:
                assert (await send(way, kind, kind.sample(), is_gzip=True)).is_full_success
            assert names_in(consumer.batches) == NAMES * 3
            assert [read(batch) for batch in consumer.batches] == [kind.sample() for kind in KINDS]


async def test_r02_uncompressed_requests_are_accepted(ways: Ways, consumer: GatedConsumer) -> None:
    """An uncompressed request of each signal is a full success, and arrives as the message that was sent."""
    for way in ways:
        with ways.test(way):
            for kind in KINDS:
                assert (await send(way, kind, kind.sample())).is_full_success
            assert names_in(consumer.batches) == NAMES * 3
            assert [read(batch) for batch in consumer.batches] == [kind.sample() for kind in KINDS]
            assert [batch.item_count for batch in consumer.batches] == [2] * 3


async def test_r03_an_empty_request_is_a_success(ways: Ways, consumer: GatedConsumer) -> None:
    """A request without any telemetry is a full success, and nothing is handed on."""
    for way in ways:
        with ways.test(way):
            for kind in KINDS:
                assert (await send(way, kind, kind.request())).is_full_success
            assert consumer.batches == []


async def test_r04_empty_envelopes_are_a_success(ways: Ways, consumer: GatedConsumer) -> None:
    """Resources without scopes, scopes without items and metrics without points are a success that stores nothing."""
    of = resource()
    empty = {
        TRACES: [ResourceSpans(), ResourceSpans(resource=of), ResourceSpans(scope_spans=[ScopeSpans()])],
        METRICS: [
            ResourceMetrics(resource=of),
            ResourceMetrics(scope_metrics=[ScopeMetrics()]),
            ResourceMetrics(scope_metrics=[ScopeMetrics(metrics=[Metric(name="none"), Metric(gauge=Gauge())])]),
        ],
        LOGS: [ResourceLogs(resource=of), ResourceLogs(scope_logs=[ScopeLogs()])],
    }
    for way in ways:
        with ways.test(way):
            for kind, envelopes in empty.items():
                request: Any = kind.request()
                getattr(request, f"resource_{'spans' if kind is TRACES else kind.signal.value}").extend(envelopes)
                assert (await send(way, kind, request)).is_full_success
            assert sum(batch.item_count for batch in consumer.batches) == 0


async def test_r05_partial_success_is_unset_on_full_success(ways: Ways) -> None:
    """The response message of a full success is empty: no byte of protobuf, `{}` as JSON."""
    for way in ways:
        with ways.test(way):
            for kind in KINDS:
                reply = await send(way, kind, kind.sample())
                assert reply.is_full_success
                assert reply.body == (b"{}" if way.name == "http/json" else b"")


async def test_r06_a_partial_success_counts_exactly_what_was_rejected(ways: Ways, consumer: GatedConsumer) -> None:
    """Invalid spans and points are counted as rejected, no more and no less; every valid neighbour arrives, in order.

    No log record is invalid by itself.
    """
    for way in ways:
        with ways.test(way):
            for kind, invalid in [(TRACES, INVALID_SPANS), (METRICS, INVALID_POINTS)]:
                consumer.batches.clear()
                request, valid_names = half_invalid(kind)
                reply = await send(way, kind, request)
                assert reply.is_success
                assert getattr(reply.response.partial_success, kind.rejected_field) == len(invalid)
                assert names_in(consumer.batches) == valid_names
                assert [batch.item_count for batch in consumer.batches] == [len(valid_names)]


async def test_r07_a_partial_success_says_why(ways: Ways) -> None:
    """The message names what was wrong with the rejected items."""
    for way in ways:
        with ways.test(way):
            for kind, word in [(TRACES, "id"), (METRICS, "bucket")]:
                reply = await send(way, kind, half_invalid(kind)[0])
                message = reply.response.partial_success.error_message
                assert word in message.lower()
                assert message.isascii()


async def test_r08_a_warning_rejects_nothing_and_says_something(ways: Ways, consumer: GatedConsumer) -> None:
    """What is odd but taken whole is answered without a partial success, or with 0 rejected and a message."""
    odd = spans_request([span("backwards", start_time_unix_nano=END_NS + 5), span("", kind=77), span("twice")])  # type: ignore[arg-type]
    for way in ways:
        with ways.test(way):
            reply = await send(way, TRACES, odd)
            assert reply.is_success
            assert reply.response.partial_success.rejected_spans == 0
            assert reply.is_full_success or reply.response.partial_success.error_message
            assert [batch.item_count for batch in consumer.batches] == [3]


async def test_r09_a_transient_failure_is_never_a_partial_success(ways: Ways, consumer: GatedConsumer) -> None:
    """When the next stage cannot take the valid items now, everything is refused as retryable, invalid items or not."""
    for way in ways:
        with ways.test(way):
            for kind in (TRACES, METRICS):
                consumer.errors = [RetryableError("not now")]
                reply = await send(way, kind, half_invalid(kind)[0])
                assert reply.is_one_of("UNAVAILABLE", 503)
            assert consumer.batches == []


@pytest.mark.parametrize("is_gzip", [False, True], ids=["plain", "gzip"])
async def test_r10_the_size_limit_counts_decompressed_bytes_too(
    start_receiver: StartReceiver, consumer: GatedConsumer, way_name: str, is_gzip: bool
) -> None:
    """A request of exactly the limit is taken, one byte more is rejected for good, however small it is compressed."""
    limit = 20_000
    way = way_of(way_name, await start_receiver(max_request_bytes=limit, max_in_flight_bytes=4 * limit))
    for kind in KINDS:
        fitting, larger = (padded(way, kind, size) for size in (limit, limit + 1))
        assert (await way.send_bytes(kind, fitting, is_gzip=is_gzip)).is_full_success
        reply = await way.send_bytes(kind, larger, is_gzip=is_gzip)
        assert reply.is_one_of("RESOURCE_EXHAUSTED", 413)
        assert reply.retry_after_s is None
    assert names_in(consumer.batches) == NAMES * 3
    assert ReceiverSettings().max_request_bytes == 64 * MIB


def padded(way: Way, kind: Any, size: int) -> bytes:
    """Return a valid request of exactly `size` bytes: blanks after JSON, an unknown field after protobuf."""
    body = way.encode(kind.sample())
    missing = size - len(body)
    if body.startswith(b"{"):
        return body + b" " * missing
    # Field 2047, which nobody knows, and its length in three bytes, whatever it is.
    payload = missing - 5
    length = bytes([payload & 0x7F | 0x80, payload >> 7 & 0x7F | 0x80, payload >> 14])
    return body + b"\xfa\x7f" + length + bytes(payload)


async def test_r11_a_response_stays_small_however_much_is_rejected(ways: Ways, consumer: GatedConsumer) -> None:
    """A partial success over 5 000 spans with long names is far below the 4 MiB that clients read."""
    spans = [span(f"{'long ' * 40}{at}") for at in range(5_000)]
    for one in spans:
        one.trace_id = bytes(16)
    for way in ways:
        with ways.test(way):
            reply = await send(way, TRACES, spans_request(spans))
            assert reply.response.partial_success.rejected_spans == len(spans)
            assert len(reply.body) < MAX_RESPONSE_BYTES / 100
            assert consumer.batches == []


async def test_r12_a_request_sent_twice_counts_once(way_name: str) -> None:
    """The same request again, as after a lost answer, is a success again; its spans are counted once."""
    history, counters, clock = MemoryHistory(), Counters(), ManualClock(END_NS // 10**9 + 10)
    live = build_in_process_live_feed(StorageSettings(), counters, now_ns=clock)
    processor = build_processor(ProcessorSettings(commit_interval_s=0.01), history, live, counters, clock)
    settings = ReceiverSettings(grpc_port=0, http_port=0, stop_grace_s=1)
    receiver = build(settings, processor, counters, (), clock)
    for part in (live, processor, receiver):
        await part.start()
    try:
        way = way_of(way_name, receiver)
        for _ in range(3):
            assert (await send(way, TRACES, TRACES.sample(5))).is_full_success
        points = await history.read(0, clock.now_s + 10, SeriesFilter())
    finally:
        for part in (receiver, processor, live):
            await part.stop()
    assert sum(point.calls for point in points) == 5


async def test_r13_fields_of_later_versions_are_ignored(ways: Ways, consumer: GatedConsumer) -> None:
    """Fields that this version of the schema does not have change nothing, at the top and deep inside."""
    for way in ways:
        with ways.test(way):
            for kind in KINDS:
                if way.name == "http/json":
                    body = json.dumps(_with_unknown_members(json.loads(way.encode(kind.sample())))).encode()
                else:
                    body = _with_unknown_fields(kind.sample()).SerializeToString()
                assert (await way.send_bytes(kind, body)).is_full_success
            assert names_in(consumer.batches) == NAMES * 3


def _with_unknown_members(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_unknown_members(one) for one in value]
    if not isinstance(value, dict):
        return value
    later = {"inventedLater": [{"deep": [None, 1, "x"]}]}
    return later | {key: _with_unknown_members(one) for key, one in value.items()}


def _with_unknown_fields(message: Message) -> Message:
    """Give a message, and all those inside it, a field 2000 of each wire type."""
    for field, value in message.ListFields():
        if field.message_type is not None:
            for one in value if field.is_repeated else [value]:
                _with_unknown_fields(one)
    message.MergeFromString(b"\x80\x7d\x05" + b"\x82\x7d\x03new" + b"\x85\x7d\x01\x02\x03\x04" + b"\x81\x7d12345678")
    return message


async def test_r14_attribute_values_of_every_kind_are_accepted(ways: Ways, consumer: GatedConsumer) -> None:
    """Strings, numbers, bytes, empty values, arrays of mixed kinds and nested lists arrive as they were sent."""
    attributes = {
        "string": "Zürich \N{SNOWMAN}",
        "empty string": "",
        "bool": False,
        "int": -(2**63),
        "double": 1e-300,
        "bytes": b"\x00\xff\xfe",
        "nothing": None,
        "mixed": [1, "two", 3.0, None, [b"4", {"five": 5}]],
        "empty array": [],
        "map": {"a": {"b": {"c": [True]}}, "nothing": None},
        "empty map": {},
    }
    requests = {
        TRACES: spans_request([span("all", attributes=key_values(attributes))]),
        METRICS: METRICS.wrap([_with(data_point("all"), attributes)]),
        LOGS: logs_request([_with(log_record("all"), attributes)]),
    }
    for way in ways:
        with ways.test(way):
            for kind, request in requests.items():
                assert (await send(way, kind, request)).is_full_success
                assert read(consumer.batches[-1]) == request


def _with(message: Any, attributes: dict[str, Any]) -> Any:
    message.attributes.extend(key_values(attributes))
    return message
