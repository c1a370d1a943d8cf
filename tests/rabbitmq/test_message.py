"""A batch and its form on the queue."""

from __future__ import annotations

from dataclasses import replace

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
)
from pika import BasicProperties

from rabbitmq import Message, batch_of, dead_letter_of, message_of
from telemetry import Batch, PermanentError, Signal
from telemetry.batch import batch_id_of
from telemetry.forwarding_trail import FORWARDED_BY_HEADER
from telemetry.queues import CONTENT_TYPE, ITEM_COUNT_HEADER, REASON_HEADER, RECEIVED_HEADER
from tests.support.doubles import ManualClock
from tests.support.rabbit import batch_number

NOW = ManualClock()


def collector_message(body: bytes, routing_key: str) -> Message:
    return Message(routing_key, BasicProperties(delivery_mode=2), body)


@pytest.mark.parametrize("signal", list(Signal))
def test_a_batch_comes_back_as_it_went(signal: Signal) -> None:
    """Reading a written message gives an equal batch, whatever the signal."""
    batch = Batch.of(signal, b"\x00\xff any bytes", item_count=7, received_unix_nano=1_760_000_000_123_456_789)
    assert batch_of(message_of(batch), NOW) == batch


def test_who_forwarded_a_batch_travels_beside_it() -> None:
    """In a header of the message; without one, and whatever else is in it, nobody did."""
    batch = replace(batch_number(1), forwarded_by=("0123456789abcdef", "fedcba9876543210"))
    message = message_of(batch)
    assert batch_of(message, NOW) == batch
    assert message.body is batch.body
    assert batch_of(dead_letter_of(message, "poison"), NOW) == batch
    for strange in (7, b"0123456789abcdef", "no id"):
        message.properties.headers[FORWARDED_BY_HEADER] = strange
        assert batch_of(message, NOW) == batch_number(1)


def test_a_message_is_persistent_and_names_its_content() -> None:
    """The properties are those that the design fixes."""
    batch = batch_number(1)
    message = message_of(batch)
    assert message.routing_key == "traces"
    assert message.body is batch.body
    assert message.properties.content_type == CONTENT_TYPE
    assert message.properties.message_id == batch.batch_id.hex()
    assert message.properties.type == "traces"
    assert message.properties.delivery_mode == 2


@pytest.mark.parametrize("routing_key", ["traces", "otlp_spans"])
def test_a_message_of_the_collector_is_read_from_its_routing_key_and_content(routing_key: str) -> None:
    """Without properties the signal comes from the key, id and count from the body, the time from the clock."""
    batch = batch_number(1, spans=3)
    read = batch_of(collector_message(batch.body, routing_key), NOW)
    assert read == Batch.of(Signal.TRACES, batch.body, item_count=3, received_unix_nano=NOW())


def test_data_points_and_log_records_are_counted() -> None:
    """The item count of metrics is their data points, of logs their records."""
    gauge = Metric(name="g", gauge=Gauge(data_points=[NumberDataPoint(as_int=1), NumberDataPoint(as_int=2)]))
    histogram = Metric(name="h", histogram=Histogram(data_points=[HistogramDataPoint(count=1)]))
    scope = ScopeMetrics(metrics=[gauge, histogram, Metric(name="empty")])
    metrics = ExportMetricsServiceRequest(resource_metrics=[ResourceMetrics(scope_metrics=[scope])])
    records = ScopeLogs(log_records=[LogRecord(), LogRecord()])
    logs = ExportLogsServiceRequest(resource_logs=[ResourceLogs(scope_logs=[records])])
    assert batch_of(collector_message(metrics.SerializeToString(), "otlp_metrics"), NOW).item_count == 3
    assert batch_of(collector_message(logs.SerializeToString(), "logs"), NOW).item_count == 2


def test_items_are_counted_where_a_text_is_no_utf_8() -> None:
    """One broken attribute of a span or a data point does not make a dead letter of all the others."""
    body = batch_number(1, spans=3).body
    assert batch_of(collector_message(body.replace(b"GET", b"G\xff\xff", 1), "traces"), NOW).item_count == 3
    points = [NumberDataPoint(as_int=1), NumberDataPoint(as_int=2)]
    scope = ScopeMetrics(metrics=[Metric(name="gauge", gauge=Gauge(data_points=points))])
    metrics = ExportMetricsServiceRequest(resource_metrics=[ResourceMetrics(scope_metrics=[scope])]).SerializeToString()
    assert batch_of(collector_message(metrics.replace(b"gauge", b"\xff" * 5), "metrics"), NOW).item_count == 2


@pytest.mark.parametrize("message_id", ["", "7", b"\xff", "A" * 31, "0123456789abcdef" * 2])
def test_the_content_decides_which_batch_it_is(message_id: str | bytes) -> None:
    """A message's own id is never believed, whatever it looks like: equal bodies are one batch, others are not."""
    message = message_of(batch_number(1))
    message.properties.message_id = message_id
    assert batch_of(message, NOW).batch_id == batch_id_of(Signal.TRACES, message.body)


@pytest.mark.parametrize("value", [-1, "5", 2.5, True, None])
def test_nonsense_in_the_headers_is_replaced_by_what_is_true(value: object) -> None:
    """Headers that are no whole number count for nothing."""
    message = message_of(batch_number(1, spans=2))
    message.properties.headers = {ITEM_COUNT_HEADER: value, RECEIVED_HEADER: value}
    read = batch_of(message, NOW)
    assert (read.item_count, read.received_unix_nano) == (2, NOW())


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        (Message("profiles", BasicProperties(), b""), "names a signal"),
        (Message("traces", BasicProperties(), b"\xff\xff"), "not an OTLP traces request"),
        (Message("traces", BasicProperties(content_type="application/json"), b"{}"), "content type"),
        (Message("traces", BasicProperties(content_encoding="gzip"), b""), "content encoding"),
    ],
)
def test_what_is_not_otlp_as_protobuf_is_refused_for_good(message: Message, complaint: str) -> None:
    """The error says what was wrong, for the reason of the dead letter."""
    with pytest.raises(PermanentError, match=complaint):
        batch_of(message, NOW)


def test_a_dead_letter_can_be_replayed() -> None:
    """It carries the reason, cut to a bounded length, and still reads as the same batch."""
    batch = batch_number(1)
    message = message_of(batch)
    message.properties.user_id, message.properties.expiration = "somebody", "1000"
    letter = dead_letter_of(message, "why " * 1_000)
    assert letter.properties.headers[REASON_HEADER] == ("why " * 1_000)[:500]
    assert letter.properties.user_id is None
    assert letter.properties.expiration is None
    assert letter.properties.delivery_mode == 2
    assert batch_of(letter, NOW) == batch
