"""The three signals as the tests send them: small valid requests whose items carry names, and the names read back."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    Gauge,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from telemetry import Batch, Signal
from tests.support.otlp import END_NS, key_values, resource

ITEM_KEY: Final = "item"
"""The attribute that names a data point, which has no name of its own."""


@dataclass(frozen=True)
class Kind:
    """One signal: its addresses, its messages, and how a request with given items is made."""

    signal: Signal
    path: str
    method: str
    request: type[Message]
    response: type[Message]
    rejected_field: str
    """The counter in `partial_success`, in the form of the schema; OTLP/JSON has it in lowerCamelCase."""
    wrap: Callable[[Iterable[Any]], Message]
    """Makes a request of one resource and one scope (and one gauge) that holds the items."""
    item: Callable[[str], Any]
    """Makes one valid item with this name."""

    def sample(self, count: int = 2, prefix: str = "item") -> Message:
        """Return a valid request with items named `<prefix> 0`, `<prefix> 1`, …"""
        return self.wrap(self.item(f"{prefix} {at}") for at in range(count))

    def __str__(self) -> str:
        return self.signal.value


def span(name: str, **fields: Any) -> Span:
    """Return a valid span whose ids follow from its name."""
    digest = hashlib.blake2b(name.encode(), digest_size=24).digest()
    made = Span(
        trace_id=digest[:16],
        span_id=digest[16:],
        name=name,
        kind=Span.SPAN_KIND_SERVER,
        start_time_unix_nano=END_NS - 50_000_000,
        end_time_unix_nano=END_NS,
    )
    made.MergeFrom(Span(**fields))
    return made


def data_point(name: str) -> NumberDataPoint:
    return NumberDataPoint(attributes=key_values({ITEM_KEY: name}), time_unix_nano=END_NS, as_int=7)


def log_record(name: str) -> LogRecord:
    record = LogRecord(time_unix_nano=END_NS, severity_number=9)  # type: ignore[arg-type] # INFO
    record.body.string_value = name
    return record


def spans_request(spans: Iterable[Span]) -> ExportTraceServiceRequest:
    return ExportTraceServiceRequest(
        resource_spans=[ResourceSpans(resource=resource(), scope_spans=[ScopeSpans(spans=spans)])]
    )


def metrics_request(metrics: Iterable[Metric]) -> ExportMetricsServiceRequest:
    return ExportMetricsServiceRequest(
        resource_metrics=[ResourceMetrics(resource=resource(), scope_metrics=[ScopeMetrics(metrics=metrics)])]
    )


def gauge_request(points: Iterable[NumberDataPoint]) -> ExportMetricsServiceRequest:
    return metrics_request([Metric(name="load", gauge=Gauge(data_points=points))])


def logs_request(records: Iterable[LogRecord]) -> ExportLogsServiceRequest:
    return ExportLogsServiceRequest(
        resource_logs=[ResourceLogs(resource=resource(), scope_logs=[ScopeLogs(log_records=records)])]
    )


def _service(signal: str, service: str) -> str:
    return f"/opentelemetry.proto.collector.{signal}.v1.{service}/Export"


TRACES: Final = Kind(
    Signal.TRACES,
    "/v1/traces",
    _service("trace", "TraceService"),
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
    "rejected_spans",
    spans_request,
    span,
)
METRICS: Final = Kind(
    Signal.METRICS,
    "/v1/metrics",
    _service("metrics", "MetricsService"),
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
    "rejected_data_points",
    gauge_request,
    data_point,
)
LOGS: Final = Kind(
    Signal.LOGS,
    "/v1/logs",
    _service("logs", "LogsService"),
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
    "rejected_log_records",
    logs_request,
    log_record,
)
KINDS: Final = (TRACES, METRICS, LOGS)


def read(batch: Batch) -> Any:
    """Return the request that a batch holds, whatever signal it is of."""
    kind = next(kind for kind in KINDS if kind.signal is batch.signal)
    return kind.request.FromString(batch.body)


def names_in(batches: Iterable[Batch]) -> list[str]:
    """Return the names of all items, in the order in which they arrived."""
    return [name for batch in batches for name in _NAMES[batch.signal](read(batch))]


def _span_names(request: Any) -> Iterator[str]:
    for of_resource in request.resource_spans:
        for scope in of_resource.scope_spans:
            yield from (span.name for span in scope.spans)


def _point_names(request: Any) -> Iterator[str]:
    for metric in metrics_in(request):
        for point in getattr(metric, metric.WhichOneof("data")).data_points:
            yield next(pair.value.string_value for pair in point.attributes if pair.key == ITEM_KEY)


def _record_names(request: Any) -> Iterator[str]:
    for of_resource in request.resource_logs:
        for scope in of_resource.scope_logs:
            yield from (record.body.string_value for record in scope.log_records)


def metrics_in(request: Any) -> Iterator[Metric]:
    for of_resource in request.resource_metrics:
        for scope in of_resource.scope_metrics:
            yield from scope.metrics


_NAMES: Final[dict[Signal, Callable[[Any], Iterator[str]]]] = {
    Signal.TRACES: _span_names,
    Signal.METRICS: _point_names,
    Signal.LOGS: _record_names,
}
