"""The metrics' part of the history's port: which series there are, and what they were over time.

`SqlHistory` implements it beside `storage.ports.History`, by whose `commit` metrics are written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from storage.ports import KeptTier
from telemetry.metric_points import MetricColumns
from telemetry.metric_series import MetricSeriesKey, labels_of

SERVICE_FIELDS: Final[Mapping[str, str]] = {
    "service": "service_name",
    "service.name": "service_name",
    "version": "service_version",
    "service.version": "service_version",
    "instance": "service_instance_id",
    "service.instance.id": "service_instance_id",
    "environment": "deployment_environment",
    "deployment.environment.name": "deployment_environment",
    "otel.scope.name": "scope_name",
    "otel.metric.overflow": "overflow",
}
"""The labels that every series has, by short names and by those of the conventions, and the fields that hold them."""


def label_of(series: MetricSeriesKey, name: str) -> str:
    """Return a label of a series: of the service, an attribute of its points, or else one of its resource.

    The empty string if there is none.
    """
    field_name = SERVICE_FIELDS.get(name)
    if field_name is not None:
        return str(getattr(series, field_name))
    for labels in (labels_of(series.attributes), labels_of(series.resource)):
        if name in labels:
            return labels[name]
    return ""


@dataclass(frozen=True, slots=True)
class MetricFilter:
    """Which series of metrics a question is about. A field that is `None` lets every value through.

    `labels` are names and values, as `label_of` finds them; `metric_names` are several metrics, of which any passes.
    `noted_since_s` leaves out series that nothing was written to since, give or take what they are noted by: a store
    may look at it, so that series of long ago cost nothing, and `matches` does not.
    """

    metric_name: str | None = None
    service_name: str | None = None
    metric_type: str | None = None
    metric_unit: str | None = None
    labels: tuple[tuple[str, str], ...] = ()
    metric_names: tuple[str, ...] = ()
    noted_since_s: int | None = None

    def fields(self) -> dict[str, str]:
        """Return the fields of a series that must have a certain value."""
        names = ("metric_name", "service_name", "metric_type", "metric_unit")
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    def matches(self, series: MetricSeriesKey) -> bool:
        """Tell whether a series passes."""
        return (
            all(getattr(series, name) == value for name, value in self.fields().items())
            and (not self.metric_names or series.metric_name in self.metric_names)
            and all(label_of(series, name) == value for name, value in self.labels)
        )


class MetricHistory(Protocol):
    """Points of metrics by time, durable."""

    async def read_metrics(
        self, start_s: int, end_s: int, where: MetricFilter, width_s: int | None = None
    ) -> MetricColumns:
        """Return the points of buckets that begin in [start_s, end_s), in time order.

        What `storage.ports.History.read` says of the widths of buckets holds here as well. Raises
        `TooManyPointsError` and `StorageUnavailableError`.
        """
        ...

    async def kept(self) -> Sequence[KeptTier]:
        """Return which buckets are kept since when, finest first. Raises `StorageUnavailableError`."""
        ...

    async def metric_series(self, start_s: int, end_s: int, where: MetricFilter) -> Sequence[MetricSeriesKey]:
        """Return the series that were written to between the two times, give or take ten minutes.

        Raises `TooManyPointsError` and `StorageUnavailableError`.
        """
        ...
