"""A consumer that keeps batches of metrics and answers questions about the newest points in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from telemetry import Batch


class Point(NamedTuple):
    """A point as it was sent, with its resource flattened into it."""

    resource: dict[str, Any]
    metric: str
    unit: str
    is_monotonic: bool | None
    value: float
    attributes: dict[str, Any]
    time_unix_nano: int
    start_unix_nano: int


class MetricConsumer:
    """`failure`, if set, is raised instead of taking a batch."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.failure: Exception | None = None

    async def consume(self, batch: Batch) -> None:
        if self.failure is not None:
            raise self.failure
        self.batches.append(batch)

    def points(self, metric: str, of: Callable[[dict[str, Any]], bool] | str = "") -> list[Point]:
        """Return the points of a metric in order, of the container of that name or the resources that `of` accepts."""
        accepts = of if callable(of) else lambda resource: not of or resource.get("container.name") == of
        return [
            point
            for batch in self.batches
            for point in points_of(batch.body)
            if point.metric == metric and accepts(point.resource)
        ]

    def last(self, metric: str, of: Callable[[dict[str, Any]], bool] | str = "") -> float | None:
        """Return the newest value."""
        points = self.points(metric, of)
        return points[-1].value if points else None

    def state(self, container: str, metric: str = "container.state") -> str | None:
        """Return the state (or health) whose value is 1 in the newest sample of a container."""
        points = self.points(metric, container)
        newest = [point for point in points if point.time_unix_nano == points[-1].time_unix_nano]
        return next((point.attributes[metric] for point in newest if point.value == 1), None)


def points_of(body: bytes) -> list[Point]:
    """Return all points of a request."""
    return [
        _point(attributes_of(of_resource.resource.attributes), metric, point)
        for of_resource in ExportMetricsServiceRequest.FromString(body).resource_metrics
        for of_scope in of_resource.scope_metrics
        for metric in of_scope.metrics
        for point in getattr(metric, metric.WhichOneof("data")).data_points
    ]


def _point(resource: dict[str, Any], metric: Any, point: Any) -> Point:
    return Point(
        resource=resource,
        metric=metric.name,
        unit=metric.unit,
        is_monotonic=metric.sum.is_monotonic if metric.WhichOneof("data") == "sum" else None,
        value=float(getattr(point, point.WhichOneof("value"))),
        attributes=attributes_of(point.attributes),
        time_unix_nano=point.time_unix_nano,
        start_unix_nano=point.start_time_unix_nano,
    )


def attributes_of(pairs: Any) -> dict[str, Any]:
    """Return attributes as a dict; an array as a list."""
    values = {}
    for pair in pairs:
        kind = pair.value.WhichOneof("value")
        value = getattr(pair.value, kind)
        values[pair.key] = [one.string_value for one in value.values] if kind == "array_value" else value
    return values
