"""What was read of one container or process, and the OTLP request that tells it.

Between the modules that read and the one that sends; pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, NumberDataPoint, ScopeMetrics

from container_stats.names import METRICS, SCOPE

Attributes = tuple[tuple[str, str | int | tuple[str, ...]], ...]


class Reading(NamedTuple):
    """One value of one metric; its attributes are those of the point."""

    metric: str
    value: int | float
    attributes: Attributes = ()


@dataclass(frozen=True, slots=True)
class Subject:
    """All readings of one container or process at one time.

    `resource` tells it from all others; totals count since `start_unix_nano`.
    """

    resource: Attributes
    readings: Sequence[Reading]
    time_unix_nano: int
    start_unix_nano: int


def encode(subjects: Sequence[Subject]) -> tuple[bytes, int]:
    """Return an `ExportMetricsServiceRequest` and how many points it has."""
    request = ExportMetricsServiceRequest()
    points = 0
    for subject in subjects:
        of_resource = request.resource_metrics.add()
        of_resource.resource.attributes.extend(_pairs(subject.resource))
        of_scope = of_resource.scope_metrics.add()
        of_scope.scope.name = SCOPE
        _add_metrics(of_scope, subject)
        points += len(subject.readings)
    return request.SerializeToString(), points


def _add_metrics(of_scope: ScopeMetrics, subject: Subject) -> None:
    for name, readings in groupby(sorted(subject.readings, key=attrgetter("metric")), key=attrgetter("metric")):
        kind, unit = METRICS[name]
        metric = of_scope.metrics.add(name=name, unit=unit)
        if kind == "gauge":
            data_points = metric.gauge.data_points
        else:
            metric.sum.aggregation_temporality = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
            metric.sum.is_monotonic = kind == "counter"
            data_points = metric.sum.data_points
        start = 0 if kind == "gauge" else subject.start_unix_nano
        data_points.extend(_point(reading, subject.time_unix_nano, start) for reading in readings)


def _point(reading: Reading, time_unix_nano: int, start_unix_nano: int) -> NumberDataPoint:
    point = NumberDataPoint(
        attributes=_pairs(reading.attributes), time_unix_nano=time_unix_nano, start_time_unix_nano=start_unix_nano
    )
    if isinstance(reading.value, int):
        point.as_int = reading.value
    else:
        point.as_double = reading.value
    return point


def _pairs(attributes: Attributes) -> list[KeyValue]:
    return [KeyValue(key=key, value=_any_value(value)) for key, value in attributes]


def _any_value(value: str | int | tuple[str, ...]) -> AnyValue:
    if isinstance(value, tuple):
        return AnyValue(array_value=ArrayValue(values=[AnyValue(string_value=part) for part in value]))
    return AnyValue(int_value=value) if isinstance(value, int) else AnyValue(string_value=value)
