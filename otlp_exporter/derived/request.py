"""Derived metrics as an OTLP request, one resource for each service, version and environment. Pure.

Names: HTTP metrics semantic conventions, "Metric: http.server.request.duration"; the Collector's spanmetrics connector.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AggregationTemporality,
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    Metric,
    ResourceMetrics,
)

from otlp_exporter.derived.course import Course, Group
from otlp_exporter.derived.settings import DerivedSettings
from otlp_exporter.derived.tally import Outcomes, Tally
from query import GroupBy
from telemetry import conventions
from telemetry.conventions import METRIC_OVERFLOW
from telemetry.exponential_histogram import SCALE, ZERO_INDEX, counts_between

FIELDS: Final[tuple[GroupBy, ...]] = (
    "service",
    "version",
    "environment",
    "model",
    "model_version",
    "span_kind",
    "method",
    "route",
    "operation",
    "status_class",
)
SCOPE: Final = "modelwatch"
STATUS_CLASS: Final = "modelwatch.http.response.status_class"
ALERT_STATE: Final = "modelwatch.alert.state"
_STATUS_CODE: Final = "status.code"
_FAILED: Final = "STATUS_CODE_ERROR"
_GOOD: Final = "STATUS_CODE_UNSET"
_MAX_BUCKETS: Final = 160
"""What OpenTelemetry's SDKs and most backends take at most."""
_NS_PER_S: Final = 1_000_000_000
_Resource = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class OpenAlert:
    """An alert that is not over, by its attributes; `service` is the one that it is about, or empty."""

    service: str
    attributes: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class _Point:
    group: Mapping[str, str]
    calls: Outcomes
    start_s: int


def request_of(
    settings: DerivedSettings,
    before: Course,
    course: Course,
    news: Mapping[Group, Outcomes],
    alerts: Sequence[OpenAlert],
) -> tuple[bytes, int]:
    """Return the request that takes a target from one course to the next, and how many points it has."""
    made: dict[_Resource, list[Metric]] = defaultdict(list)
    if settings.temporality == "delta":
        points = [(key, new, before.until_s) for key, new in news.items()]
    else:
        points = [(key, told.total, told.since_s) for key, told in course.told.items()]
    by_resource: dict[_Resource, list[_Point]] = defaultdict(list)
    for key, calls, start_s in points:
        group: dict[str, str] = dict(zip(FIELDS, key, strict=True))
        by_resource[group["service"], group["version"], group["environment"]].append(_Point(group, calls, start_s))
    for resource, ours in by_resource.items():
        made[resource] += _metrics(settings, ours, course.until_s)
    if "alerts" in settings.metrics:
        for service, metric in _alert_metrics(alerts, before, course.until_s):
            made[service, "", ""].append(metric)
    request = ExportMetricsServiceRequest(
        resource_metrics=[_resource_metrics(resource, metrics) for resource, metrics in made.items() if metrics]
    )
    return request.SerializeToString(), sum(_point_count(metric) for metrics in made.values() for metric in metrics)


def _point_count(metric: Metric) -> int:
    kinds = (metric.gauge, metric.sum, metric.histogram, metric.exponential_histogram)
    return sum(len(kind.data_points) for kind in kinds)


def _metrics(settings: DerivedSettings, points: Sequence[_Point], end_s: int) -> Iterator[Metric]:
    temporality: Any = (
        AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
        if settings.temporality == "delta"
        else AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
    )
    http = [point for point in points if _is_http(point.group)]
    if "http" in settings.metrics and http:
        metric = Metric(name="http.server.request.duration", unit="s", description="Duration of HTTP server requests.")
        whole = [(point, point.calls.total, _http_attributes(settings, point.group)) for point in http]
        _fill(metric, settings, whole, end_s, temporality)
        yield metric
    if "spans" in settings.metrics:
        calls = Metric(name="traces.span.metrics.calls", unit="{call}", description="Number of spans.")
        calls.sum.is_monotonic = True
        calls.sum.aggregation_temporality = temporality
        for point in points:
            total, attributes = point.calls.total, _span_attributes(point.group)
            failed = min(total.errors, total.calls)
            for status, count in ((_FAILED, failed), (_GOOD, total.calls - failed)):
                if count:
                    calls.sum.data_points.add(
                        attributes=_attributes({**attributes, _STATUS_CODE: status}),
                        start_time_unix_nano=point.start_s * _NS_PER_S,
                        time_unix_nano=end_s * _NS_PER_S,
                        as_int=count,
                    )
        duration = Metric(name="traces.span.metrics.duration", unit="s", description="Duration of spans.")
        parts = [(point, *part) for point in points for part in _by_outcome(point)]
        _fill(duration, settings, parts, end_s, temporality)
        yield from (calls, duration)


def _by_outcome(point: _Point) -> Iterator[tuple[Tally, Mapping[str, str]]]:
    """Yield the calls whose outcome is known with its name, and those of which it is not without one."""
    attributes = _span_attributes(point.group)
    for tally, status in ((point.calls.good, _GOOD), (point.calls.failed, _FAILED), (point.calls.mixed, "")):
        if tally.buckets:
            yield tally, {**attributes, _STATUS_CODE: status}


def _fill(
    metric: Metric,
    settings: DerivedSettings,
    points: Iterable[tuple[_Point, Tally, Mapping[str, str]]],
    end_s: int,
    temporality: Any,
) -> None:
    is_explicit = settings.histogram == "explicit"
    data: Any = metric.histogram if is_explicit else metric.exponential_histogram
    data.aggregation_temporality = temporality
    for point, tally, attributes in points:
        common: dict[str, Any] = {
            "attributes": _attributes(attributes),
            "start_time_unix_nano": point.start_s * _NS_PER_S,
            "time_unix_nano": end_s * _NS_PER_S,
            "count": tally.calls,
            "sum": tally.sum_ns / _NS_PER_S,
        }
        made = _explicit(tally, settings.bounds_s, common) if is_explicit else _exponential(tally, common)
        data.data_points.append(made)


def _explicit(tally: Tally, bounds_s: Sequence[float], common: Mapping[str, Any]) -> HistogramDataPoint:
    counts = counts_between(tally.buckets, bounds_s)
    return HistogramDataPoint(**common, explicit_bounds=bounds_s, bucket_counts=counts)


def _exponential(tally: Tally, common: Mapping[str, Any]) -> ExponentialHistogramDataPoint:
    """At our own scale, or at the finest that needs no more than 160 buckets: two of one scale are one of the next."""
    buckets = {index: count for index, count in tally.buckets.items() if index != ZERO_INDEX}
    point = ExponentialHistogramDataPoint(**common, scale=SCALE, zero_count=tally.buckets.get(ZERO_INDEX, 0))
    if buckets:
        low, high, halvings = min(buckets), max(buckets), 0
        while (high >> halvings) - (low >> halvings) >= _MAX_BUCKETS:
            halvings += 1
        counts = [0] * ((high >> halvings) - (low >> halvings) + 1)
        for index, count in buckets.items():
            counts[(index >> halvings) - (low >> halvings)] += count
        point.scale = SCALE - halvings
        point.positive.offset = low >> halvings
        point.positive.bucket_counts.extend(counts)
    return point


def _alert_metrics(alerts: Sequence[OpenAlert], before: Course, end_s: int) -> Iterator[tuple[str, Metric]]:
    """Yield the gauges: 1 for what is open, 0 once for what was and is over."""
    values: dict[tuple[tuple[str, str], ...], int] = {**dict.fromkeys(before.alerts, 0)}
    values |= {alert_key(alert): 1 for alert in alerts}
    by_service: dict[str, Metric] = {}
    for key, value in sorted(values.items()):
        (_, service), *attributes = key
        metric = by_service.setdefault(
            service or SCOPE, Metric(name=ALERT_STATE, description="1 for each alert that is open, 0 when it is over.")
        )
        metric.gauge.data_points.add(
            attributes=_attributes(dict(attributes)), time_unix_nano=end_s * _NS_PER_S, as_int=value
        )
    yield from by_service.items()


def alert_key(alert: OpenAlert) -> tuple[tuple[str, str], ...]:
    """Return what an alert is known by from one export to the next."""
    return ("", alert.service), *alert.attributes


def _is_http(group: Mapping[str, str]) -> bool:
    """Tell whether calls are of HTTP, or are in a group of many, of which it is not known: none is left out."""
    if METRIC_OVERFLOW in (group["service"], group["route"]):
        return group["span_kind"] in ("SERVER", METRIC_OVERFLOW)
    return group["span_kind"] == "SERVER" and bool(group["method"])


def _http_attributes(settings: DerivedSettings, group: Mapping[str, str]) -> dict[str, str]:
    if group["span_kind"] == METRIC_OVERFLOW:
        return {METRIC_OVERFLOW: "true"}
    failed = {conventions.ERROR_TYPE: group["status_class"]} if group["status_class"] == "5xx" else {}
    return {
        conventions.HTTP_REQUEST_METHOD: group["method"],
        conventions.HTTP_ROUTE: group["route"],
        STATUS_CLASS: group["status_class"],
        conventions.HTTP_RESPONSE_STATUS_CODE: group["status_class"] if settings.status_code == "class" else "",
        **failed,
        **_model_attributes(group),
    }


def _span_attributes(group: Mapping[str, str]) -> dict[str, str]:
    if group["span_kind"] == METRIC_OVERFLOW:
        return {conventions.SERVICE_NAME: METRIC_OVERFLOW, METRIC_OVERFLOW: "true"}
    name = " ".join(filter(None, (group["method"], group["route"]))) or group["operation"]
    return {
        conventions.SERVICE_NAME: group["service"],
        "span.name": name,
        "span.kind": f"SPAN_KIND_{group['span_kind']}",
        STATUS_CLASS: group["status_class"],
        **_model_attributes(group),
    }


def _model_attributes(group: Mapping[str, str]) -> dict[str, str]:
    return {conventions.MODEL_NAME: group["model"], conventions.MODEL_VERSION: group["model_version"]}


def _resource_metrics(resource: _Resource, metrics: Sequence[Metric]) -> ResourceMetrics:
    service, version, environment = resource
    found = ResourceMetrics()
    attributes = {conventions.SERVICE_NAME: service}
    if service != METRIC_OVERFLOW:
        attributes |= {conventions.SERVICE_VERSION: version, conventions.DEPLOYMENT_ENVIRONMENT: environment}
    found.resource.attributes.extend(_attributes(attributes))
    found.scope_metrics.add(metrics=metrics).scope.name = SCOPE
    return found


def _attributes(values: Mapping[str, str]) -> list[KeyValue]:
    return [KeyValue(key=key, value=AnyValue(string_value=value)) for key, value in values.items() if value]
