"""Counts the items of an OTLP request whose sender did not say how many it holds.

Needed for messages that a Collector wrote; ours carry the count that the receiver found when it parsed the request.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from telemetry.batch import Signal
from telemetry.errors import PermanentError

_TO_RECORDS: Final = ({1}, {2}, {2})
_PATHS: Final[dict[Signal, Sequence[Collection[int]]]] = {
    Signal.TRACES: _TO_RECORDS,
    Signal.METRICS: (*_TO_RECORDS, {5, 7, 9, 10, 11}, {1}),
    Signal.LOGS: _TO_RECORDS,
}
"""The numbers of the fields that lead to the items."""
_LENGTH_DELIMITED: Final = 2


def item_count_of(signal: Signal, body: bytes) -> int:
    """Return the number of spans, data points or log records. Raises `PermanentError` if `body` cannot be parsed."""
    try:
        match signal:
            case Signal.TRACES:
                return _span_count(ExportTraceServiceRequest.FromString(body))
            case Signal.METRICS:
                return _data_point_count(ExportMetricsServiceRequest.FromString(body))
            case Signal.LOGS:
                return _log_record_count(ExportLogsServiceRequest.FromString(body))
    except DecodeError:
        pass  # the generated classes refuse a whole request for one text that is no UTF-8, the processor does not
    try:
        return _field_count(body, *_PATHS[signal])
    except DecodeError as error:
        raise PermanentError(f"not an OTLP {signal} request as protobuf: {error}") from error


def _span_count(request: ExportTraceServiceRequest) -> int:
    return sum(len(scope.spans) for resource in request.resource_spans for scope in resource.scope_spans)


def _data_point_count(request: ExportMetricsServiceRequest) -> int:
    scopes = (scope for resource in request.resource_metrics for scope in resource.scope_metrics)
    return sum(_points_of(metric) for scope in scopes for metric in scope.metrics)


def _points_of(metric: Metric) -> int:
    kind = metric.WhichOneof("data")
    return len(getattr(metric, kind).data_points) if kind else 0


def _log_record_count(request: ExportLogsServiceRequest) -> int:
    return sum(len(scope.log_records) for resource in request.resource_logs for scope in resource.scope_logs)


def _field_count(body: bytes, numbers: Collection[int], *path: Collection[int]) -> int:
    """Count the fields at the end of the path, without looking into them. Raises `DecodeError`."""
    fields: Any = UnknownFieldSet(Empty.FromString(body))
    found = [field.data for field in fields if field.field_number in numbers and field.wire_type == _LENGTH_DELIMITED]
    return sum(_field_count(data, *path) for data in found) if path else len(found)
