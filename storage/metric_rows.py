"""The rows of metrics: from points to rows, and rows of the same series and bucket added up.

Used by commits and roll-ups, as `commits.py` has it for RED points.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from storage.series_catalog import MetricSeriesCatalog
from telemetry.metric_points import MetricPoint, merge_metric_points
from telemetry.metric_series import MetricSeriesKey
from telemetry.metric_states import State, merge_states, state_from_bytes
from telemetry.metric_stretches import join_states


class MetricRow(NamedTuple):
    """One row of `metric_points` or of the tables of the coarser tiers."""

    start_s: int
    series_id: int
    state: bytes


def metric_rows_of(
    points: Iterable[MetricPoint], resolution_s: int, catalog: MetricSeriesCatalog
) -> tuple[list[MetricRow], dict[int, MetricSeriesKey]]:
    """Add up points into the rows to commit, sorted by key, and name the series that they speak of."""
    named: dict[int, MetricSeriesKey] = {}
    rows = []
    for series, start_s, state in merge_metric_points(points, resolution_s):
        cleaned, series_id = catalog.identify(series)
        named[series_id] = cleaned
        rows.append(MetricRow(start_s, series_id, state.to_bytes()))
    return sum_metric_rows(rows), named


def sum_metric_rows(rows: Sequence[MetricRow], width_s: int = 1) -> list[MetricRow]:
    """Add up rows into buckets of `width_s`, one row for each key, sorted by key.

    Without `width_s` rows of the same bucket are added up; with it, those of the shorter ones that it consists of.
    """
    add_up = merge_states if width_s == 1 else join_states
    groups: dict[tuple[int, int], list[bytes]] = {}
    for start_s, series_id, state in rows:
        groups.setdefault((start_s - start_s % width_s, series_id), []).append(state)
    return sorted(MetricRow(*key, _sum_of(states, add_up)) for key, states in groups.items())


def _sum_of(states: Sequence[bytes], add_up: Callable[[Iterable[State]], State]) -> bytes:
    if len(states) == 1:
        return bytes(states[0])
    return add_up(map(state_from_bytes, states)).to_bytes()
