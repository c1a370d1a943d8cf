"""The limit on RED series: beyond it every call is counted in an overflow series, kinds and status classes apart.

Applied by `group_commit` to the points of a commit.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace

from processor.series_limits import SeriesLimits
from telemetry import RedPoint, SeriesKey, merge_red_points
from telemetry.conventions import METRIC_OVERFLOW


class RedSeriesLimits(SeriesLimits[SeriesKey, RedPoint]):
    """`SeriesLimits` of RED points."""

    def series_of(self, point: RedPoint) -> SeriesKey:
        return point.series

    def kind_of(self, series: SeriesKey) -> Hashable:
        return series.deployment_environment

    def fields_of(self, series: SeriesKey) -> Mapping[str, str]:
        fields = series._asdict()
        del fields["service_name"]
        return fields

    def overflowed(self, beyond: Sequence[RedPoint]) -> Iterable[RedPoint]:
        return merge_red_points(replace(point, series=self._overflow_of(point.series)) for point in beyond)

    def _overflow_of(self, series: SeriesKey) -> SeriesKey:
        """Return the series that stands for this one: what is left of it has few values, or values known already."""
        service = self.service_of(series)
        if service is None:
            name, environment = METRIC_OVERFLOW, ""
        else:
            name = series.service_name
            environment = series.deployment_environment
            environment = environment if self.kind_of(series) in service.kinds else ""
        return SeriesKey(
            service_name=name,
            deployment_environment=environment,
            span_kind=series.span_kind,
            http_route=METRIC_OVERFLOW,
            http_status_class=series.http_status_class,
            overflow="true",
        )
