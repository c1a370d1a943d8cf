"""The limit on metric series: beyond it, what can be added up is one series per service and metric.

Applied by `group_commit` to the points of a commit. Readings and what came in between have a sum over series; totals
since a start have none, since the increase of each is known only from its own points. Those, and metrics of which no
series is kept apart, are discarded and counted.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence

from processor.series_limits import SeriesLimits
from telemetry import Counters, NowNs
from telemetry.metric_points import MetricPoint, merge_metric_points
from telemetry.metric_series import MetricSeriesKey, labels_of
from telemetry.metric_states import Running

_OWN_FIELDS = (
    "service_version",
    "service_instance_id",
    "deployment_environment",
    "metric_name",
    "scope_name",
    "bounds",
)


class MetricSeriesLimits(SeriesLimits[MetricSeriesKey, MetricPoint]):
    """`SeriesLimits` of metric points."""

    def __init__(self, max_per_service: int, max_series: int, idle_s: int, now_ns: NowNs, counters: Counters) -> None:
        # Late services have no place: where no series is kept, nothing is added up under any name.
        super().__init__(max_per_service, max_series, 0, idle_s, now_ns)
        self._counters = counters

    def series_of(self, point: MetricPoint) -> MetricSeriesKey:
        return point.series

    def kind_of(self, series: MetricSeriesKey) -> Hashable:
        return _overflow_of(series)

    def fields_of(self, series: MetricSeriesKey) -> Mapping[str, str]:
        own = {field: getattr(series, field) for field in _OWN_FIELDS}
        return {**labels_of(series.resource), **labels_of(series.attributes), **own}

    def overflowed(self, beyond: Sequence[MetricPoint]) -> Iterable[MetricPoint]:
        kept = []
        for point in beyond:
            overflow, service = _overflow_of(point.series), self.service_of(point.series)
            if service is not None and overflow in service.kinds and not isinstance(point.state, Running):
                kept.append(point._replace(series=overflow))
        merged = merge_metric_points(kept)
        self._counters.add("processor_discarded_points", len(beyond) - len(kept))
        return merged


def _overflow_of(series: MetricSeriesKey) -> MetricSeriesKey:
    """Return the series that stands for this one beyond the limit."""
    return MetricSeriesKey(
        service_name=series.service_name,
        metric_name=series.metric_name,
        metric_unit=series.metric_unit,
        metric_type=series.metric_type,
        temporality=series.temporality,
        is_monotonic=series.is_monotonic,
        deployment_environment=series.deployment_environment,
        bounds=series.bounds,
        overflow="true",
    )
