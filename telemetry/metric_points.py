"""One metric series in one bucket of time, and how points of the same add up.

Derived by the processor, added up by storage and query, as RED points are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from telemetry.metric_series import MetricSeriesKey
from telemetry.metric_states import State, merge_states


class MetricPoint(NamedTuple):
    """What a series was in the bucket that begins at Unix second `start_s`; whoever holds the point knows its width."""

    series: MetricSeriesKey
    start_s: int
    state: State


@dataclass(frozen=True, slots=True)
class MetricColumns:
    """Many points as a read of the history returns them: bucket, index of the series, state at rest; in that order."""

    series: Sequence[MetricSeriesKey]
    points: Sequence[tuple[int, int, bytes]]


def merge_metric_points(points: Iterable[MetricPoint], width_s: int = 1) -> list[MetricPoint]:
    """Add up points into buckets of `width_s` seconds aligned to the epoch, one point per series and bucket."""
    groups: dict[tuple[MetricSeriesKey, int], list[State]] = {}
    for series, start_s, state in points:
        groups.setdefault((series, start_s - start_s % width_s), []).append(state)
    return [MetricPoint(series, start_s, merge_states(states)) for (series, start_s), states in groups.items()]
