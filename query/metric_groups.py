"""From samples of series to the values of groups: one value for each step, by the aggregation that was asked for.

Pure; the last stage of a question about a metric. Values are made in two stages, so that a series that reports oftener
does not count more: first of each series in a step, then over the series of a group.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from query.metric_answers import Aggregation, MetricValues
from query.metric_quantiles import intervals_of, quantile_of
from query.metric_samples import Sample
from query.overflow import OVERFLOW
from telemetry.metric_series import MetricSeriesKey, MetricType, Temporality
from telemetry.metric_states import quantiles_from

_QUANTILES: Final[Mapping[str, float]] = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
_READINGS: Final[tuple[Aggregation, ...]] = ("avg", "min", "max", "sum", "last")
_COUNTERS: Final[tuple[Aggregation, ...]] = ("rate", "increase", "last")
_HISTOGRAMS: Final[tuple[Aggregation, ...]] = ("p95", "p50", "p99", "avg", "rate", "increase", "sum", "min", "max")
_SUMMARIES: Final[tuple[Aggregation, ...]] = ("avg", "rate", "increase", "sum", "p50", "p95", "p99")

GroupKey = tuple[str, ...]


class SeriesSamples(NamedTuple):
    """A series, the group that it belongs to, and its samples by the number of the step."""

    series: MetricSeriesKey
    group: GroupKey
    samples: Mapping[int, Sample]


OfSeries = tuple[MetricSeriesKey, Sample]
_Combine = Callable[[Sequence[OfSeries]], float | None]


def aggregations_of(series: MetricSeriesKey) -> tuple[Aggregation, ...]:
    """Return what can be asked of metrics of this type; the first is what is answered without being asked."""
    if series.metric_type == MetricType.SUM:
        goes_both_ways = series.temporality == Temporality.CUMULATIVE and not series.is_monotonic
        return _READINGS if goes_both_ways else _COUNTERS
    if series.metric_type == MetricType.GAUGE:
        return _READINGS
    return _SUMMARIES if series.metric_type == MetricType.SUMMARY else _HISTOGRAMS


def values_of(
    found: Sequence[SeriesSamples], group_by: Sequence[str], step_count: int, aggregation: Aggregation, max_groups: int
) -> list[MetricValues]:
    """Return each group with its values, in the order of their labels; the smallest beyond `max_groups` as one."""
    values = _by_group(found, step_count, aggregation)
    if len(values) > max_groups:
        kept = _largest(values, max_groups)
        overflow = (OVERFLOW,) * len(group_by)
        found = [one if one.group in kept else one._replace(group=overflow) for one in found]
        values = _by_group(found, step_count, aggregation)
    return [MetricValues(dict(zip(group_by, group, strict=True)), tuple(values[group])) for group in sorted(values)]


def _by_group(
    found: Iterable[SeriesSamples], step_count: int, aggregation: Aggregation
) -> dict[GroupKey, list[float | None]]:
    cells: dict[GroupKey, dict[int, list[OfSeries]]] = {}
    for series, group, samples in found:
        steps = cells.setdefault(group, {})
        for step, sample in samples.items():
            steps.setdefault(step, []).append((series, sample))
    combine = _combination(aggregation)
    values: dict[GroupKey, list[float | None]] = {}
    for group, steps in cells.items():
        row: list[float | None] = [None] * step_count
        for step, of_series in steps.items():
            value = combine(of_series)
            row[step] = value if value is not None and math.isfinite(value) else None
        if any(value is not None for value in row):
            values[group] = row
    return values


def _largest(values: Mapping[GroupKey, Sequence[float | None]], limit: int) -> Collection[GroupKey]:
    peaks = {group: max(value for value in row if value is not None) for group, row in values.items()}
    return set(heapq.nsmallest(limit - 1, peaks, key=lambda group: (-peaks[group], group)))


def _combination(aggregation: Aggregation) -> _Combine:
    if aggregation in _QUANTILES:
        return lambda of_series: _quantile(of_series, _QUANTILES[aggregation])
    return _COMBINATIONS[aggregation]


def _average(of_series: Sequence[OfSeries]) -> float | None:
    if _are_readings(of_series):
        return _mean([sample.total / sample.count for _, sample in of_series if sample.total is not None])
    known = [sample for _, sample in of_series if sample.total is not None]
    count = sum(sample.count for sample in known)
    return math.fsum(sample.total or 0.0 for sample in known) / count if count else None


def _sum(of_series: Sequence[OfSeries]) -> float | None:
    if _are_readings(of_series):
        return math.fsum(sample.total / sample.count for _, sample in of_series if sample.total is not None)
    totals = [sample.total for _, sample in of_series if sample.total is not None]
    return math.fsum(totals) if totals else None


def _minimum(of_series: Sequence[OfSeries]) -> float | None:
    return min((sample.low for _, sample in of_series if sample.low is not None), default=None)


def _maximum(of_series: Sequence[OfSeries]) -> float | None:
    return max((sample.high for _, sample in of_series if sample.high is not None), default=None)


def _last(of_series: Sequence[OfSeries]) -> float | None:
    """Return the latest value of the series that spoke last; of several at once, the largest."""
    latest = max(((sample.last_ns, sample.last) for _, sample in of_series if sample.last is not None), default=None)
    return None if latest is None else latest[1]


def _increase(of_series: Sequence[OfSeries]) -> float | None:
    grown = [value for series, sample in of_series if (value := _growth(series, sample)) is not None]
    return math.fsum(grown) if grown else None


def _rate(of_series: Sequence[OfSeries]) -> float | None:
    rates = [
        value / sample.seconds
        for series, sample in of_series
        if sample.seconds > 0 and (value := _growth(series, sample)) is not None
    ]
    return math.fsum(rates) if rates else None


def _quantile(of_series: Sequence[OfSeries], quantile: float) -> float | None:
    if of_series[0][0].metric_type == MetricType.SUMMARY:
        # Quantiles of several summaries cannot be made into one.
        named = dict(quantiles_from(of_series[0][1].last_shape)) if len(of_series) == 1 else {}
        return named.get(quantile)
    known = [(series, sample) for series, sample in of_series if sample.buckets is not None and sample.count]
    if not known:
        return None
    within = min(sample.within[0] for _, sample in known), max(sample.within[1] for _, sample in known)
    parts = [intervals_of(series.bounds, sample.buckets) for series, sample in known if sample.buckets is not None]
    return quantile_of(parts, within, quantile)


_COMBINATIONS: Final[Mapping[str, _Combine]] = {
    "avg": _average,
    "sum": _sum,
    "min": _minimum,
    "max": _maximum,
    "last": _last,
    "increase": _increase,
    "rate": _rate,
}


def _growth(series: MetricSeriesKey, sample: Sample) -> float | None:
    """Return how much was added to a counter, or how many observations to a histogram or summary."""
    if series.metric_type == MetricType.SUM:
        return sample.total
    return float(sample.count) if sample.seconds > 0 or sample.count else None


def _are_readings(of_series: Sequence[OfSeries]) -> bool:
    return of_series[0][0].metric_type in (MetricType.GAUGE, MetricType.SUM)


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None
