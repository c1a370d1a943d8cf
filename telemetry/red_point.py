"""RED (rate, errors, duration) of one series in one span of time.

Derived by the processor, added up by storage and query; points of one series and time add up in any order.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from telemetry.exponential_histogram import ExponentialHistogram
from telemetry.histogram_groups import merge_groups
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
    indexes: dict[tuple[SeriesKey, int], int] = {}
    groups: list[int] = []
    at_rest: list[bytes] = []
    calls: list[int] = []
    errors: list[int] = []
    for point in points:
        index = indexes.setdefault((point.series, point.start_s - point.start_s % width_s), len(indexes))
        if index == len(calls):
            calls.append(0)
            errors.append(0)
        calls[index] += point.calls
        errors[index] += point.errors
        groups.append(index)
        at_rest.append(point.durations.to_bytes())
    durations = merge_groups(at_rest, groups, len(indexes))
    return [
        RedPoint(*key, of_calls, of_errors, of_durations)
        for key, of_calls, of_errors, of_durations in zip(indexes, calls, errors, durations, strict=True)
    ]
