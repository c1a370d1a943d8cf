"""RED (rate, errors, duration) of one series in one span of time.

Derived by the processor, added up by storage and query; points of one series and time add up in any order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from telemetry.exponential_histogram import ExponentialHistogram
from telemetry.series import SeriesKey


@dataclass(frozen=True, slots=True)
class RedPoint:
    """`calls` requests ended in the bucket that begins at Unix second `start_s`; `errors` of them failed.

    The bucket's width belongs to whoever holds the point: 1 s as derived and in the live feed, more in history.
    """

    series: SeriesKey
    start_s: int
    calls: int
    errors: int
    durations: ExponentialHistogram


def merge_red_points(points: Iterable[RedPoint], width_s: int = 1) -> list[RedPoint]:
    """Add up points into buckets of `width_s` seconds aligned to the epoch, one point per series and bucket."""
    groups: defaultdict[tuple[SeriesKey, int], list[RedPoint]] = defaultdict(list)
    for point in points:
        groups[point.series, point.start_s - point.start_s % width_s].append(point)
    return [
        RedPoint(
            series,
            start_s,
            sum(point.calls for point in group),
            sum(point.errors for point in group),
            ExponentialHistogram.merge(point.durations for point in group),
        )
        for (series, start_s), group in groups.items()
    ]
