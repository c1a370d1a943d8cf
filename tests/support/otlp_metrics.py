"""Builders of OTLP metric and log requests with the generated classes, as `tests.support.otlp` has them for traces."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE,
    AggregationTemporality,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
    Summary,
    SummaryDataPoint,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from tests.support.otlp import END_NS, any_value, key_values, resource

CUMULATIVE = AGGREGATION_TEMPORALITY_CUMULATIVE


def number_point(value: float | None = 1, *, flags: int = 0, index: int = 0, **attributes: object) -> NumberDataPoint:
    """Return a data point of a gauge or a sum; `None` leaves its value out, another `index` makes it another point."""
    point = NumberDataPoint(time_unix_nano=END_NS + index, flags=flags, attributes=key_values(attributes))
    if isinstance(value, int):
        point.as_int = value
    elif value is not None:
        point.as_double = value
    return point


def histogram_point(
    bucket_counts: Sequence[int] = (1, 2, 3), explicit_bounds: Sequence[float] = (0.1, 1.0), **fields: int
) -> HistogramDataPoint:
    """Return a data point of a histogram; `fields` are further ones, such as `flags`."""
    return HistogramDataPoint(
        time_unix_nano=END_NS,
        count=sum(bucket_counts),
        bucket_counts=bucket_counts,
        explicit_bounds=explicit_bounds,
        **fields,  # type: ignore[arg-type]  # one type for all
    )


def exponential_point(bucket_counts: Sequence[int] = (1, 0, 2)) -> ExponentialHistogramDataPoint:
    """Return a data point of an exponential histogram with these positive buckets."""
    buckets = ExponentialHistogramDataPoint.Buckets(offset=-1, bucket_counts=bucket_counts)
    return ExponentialHistogramDataPoint(time_unix_nano=END_NS, count=sum(bucket_counts), scale=2, positive=buckets)


def summary_point(*quantiles: float) -> SummaryDataPoint:
    """Return a data point of a summary with these quantiles."""
    values = [SummaryDataPoint.ValueAtQuantile(quantile=quantile, value=1.0) for quantile in quantiles]
    return SummaryDataPoint(time_unix_nano=END_NS, count=1, sum=1.0, quantile_values=values)


def gauge(*points: NumberDataPoint, name: str = "load") -> Metric:
    return Metric(name=name, gauge=Gauge(data_points=points))


def total(
    *points: NumberDataPoint, name: str = "calls", temporality: AggregationTemporality.ValueType = CUMULATIVE
) -> Metric:
    """Return a metric of kind sum."""
    return Metric(name=name, sum=Sum(data_points=points, aggregation_temporality=temporality, is_monotonic=True))


def histogram(
    *points: HistogramDataPoint, name: str = "latency", temporality: AggregationTemporality.ValueType = CUMULATIVE
) -> Metric:
    return Metric(name=name, histogram=Histogram(data_points=points, aggregation_temporality=temporality))


def exponential_histogram(
    *points: ExponentialHistogramDataPoint,
    name: str = "size",
    temporality: AggregationTemporality.ValueType = CUMULATIVE,
) -> Metric:
    data = ExponentialHistogram(data_points=points, aggregation_temporality=temporality)
    return Metric(name=name, exponential_histogram=data)


def summary(*points: SummaryDataPoint, name: str = "age") -> Metric:
    return Metric(name=name, summary=Summary(data_points=points))


def metric_request(metrics: Iterable[Metric], of: Resource | None = None) -> ExportMetricsServiceRequest:
    """Return a request with one resource (the default: service `shop`), one scope and these metrics."""
    scope_metrics = ScopeMetrics(scope=InstrumentationScope(name="tests"), metrics=metrics)
    resource_metrics = ResourceMetrics(resource=of if of is not None else resource(), scope_metrics=[scope_metrics])
    return ExportMetricsServiceRequest(resource_metrics=[resource_metrics])


def log_record(body: object = "it happened", *, attributes: Mapping[str, object] | None = None) -> LogRecord:
    """Return a log record without ids, which is valid."""
    return LogRecord(time_unix_nano=END_NS, body=any_value(body), attributes=key_values(attributes or {}))


def log_request(records: Iterable[LogRecord], of: Resource | None = None) -> ExportLogsServiceRequest:
    """Return a request with one resource (the default: service `shop`), one scope and these records."""
    scope_logs = ScopeLogs(scope=InstrumentationScope(name="tests"), log_records=records)
    resource_logs = ResourceLogs(resource=of if of is not None else resource(), scope_logs=[scope_logs])
    return ExportLogsServiceRequest(resource_logs=[resource_logs])
