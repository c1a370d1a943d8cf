"""Metrics of containers and processes as committed points, for tests of what is made of them.

`reported` makes the points of one series; `container` and `process` its resource's labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from telemetry.metric_points import MetricPoint
from telemetry.metric_series import MetricSeriesKey, MetricType, Temporality, canonical_labels
from telemetry.metric_states import Readings, Running, Snapshot, Start
from telemetry.metric_sums import exact

NS_PER_S = 1_000_000_000
OWN_SCOPE = "modelwatch.container_stats"


def container(container_id: str = "c" * 64, name: str = "web-1", host: str = "node-1", **more: str) -> dict[str, str]:
    """Return the labels of a container's resource; dots in further keys are written as `__`."""
    labels = {"container.id": container_id, "container.name": name, "host.name": host}
    return {key: value for key, value in {**labels, **dotted(more)}.items() if value}


def process(pid: int = 41, host: str = "node-1", executable: str = "python3", **more: str) -> dict[str, str]:
    """Return the labels of a process's resource."""
    return {
        "host.name": host,
        "process.pid": str(pid),
        "process.executable.name": executable,
        **dotted(more),
    }


def dotted(labels: Mapping[str, str]) -> dict[str, str]:
    """Return labels under their names with dots."""
    return {key.replace("__", "."): value for key, value in labels.items()}


def counter(
    name: str,
    values: Iterable[tuple[int, float]],
    resource: Mapping[str, str],
    *,
    unit: str = "",
    scope: str = OWN_SCOPE,
    service: str = "unknown_service",
    instance: str = "",
    **labels: str,
) -> list[MetricPoint]:
    """Return the points of a total that only grows, from pairs of Unix second and value."""
    series = MetricSeriesKey(
        service,
        name,
        unit,
        MetricType.SUM,
        Temporality.CUMULATIVE,
        "true",
        service_instance_id=instance,
        scope_name=scope,
        resource=canonical_labels(resource),
        attributes=canonical_labels(dotted(labels)),
    )
    points = []
    for second, value in values:
        shot = Snapshot(second * NS_PER_S, float(value))
        points.append(MetricPoint(series, second, Running((Start(0, shot, shot, float(value)),))))
    return points


def reading(
    name: str,
    values: Iterable[tuple[int, float]],
    resource: Mapping[str, str],
    *,
    unit: str = "",
    scope: str = OWN_SCOPE,
    service: str = "unknown_service",
    instance: str = "",
    **labels: str,
) -> list[MetricPoint]:
    """Return the points of a gauge, from pairs of Unix second and value."""
    series = MetricSeriesKey(
        service,
        name,
        unit,
        service_instance_id=instance,
        scope_name=scope,
        resource=canonical_labels(resource),
        attributes=canonical_labels(dotted(labels)),
    )
    return [
        MetricPoint(series, second, Readings(1, exact(float(value)), value, value, second * NS_PER_S, value))
        for second, value in values
    ]
