"""What one series tells of a resource in each step: its value, and what was counted.

Pure; between the history's states and `measuring.py`. Nearly all that is measured is one reading, or one total that
only grew, in a step: those are read here in a short way. All else goes through `query.metric_samples`, of which the
short way is a special case.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from query.metric_samples import Sample, samples_of
from telemetry.metric_series import MetricSeriesKey, MetricType, Temporality
from telemetry.metric_states import plain_reading_from, plain_total_from

_NS_PER_S: Final = 1e9
_NS_PER_MS: Final = 10**6
_MS_PER_S: Final = 1_000


class Told(NamedTuple):
    """What a step tells: the reading, or a counter's growth per second; of counters how much was added."""

    value: float | None
    added: float | None
    last_ns: int
    last: float | None


Points = Sequence[tuple[int, bytes]]
"""Start of the bucket and state, in time order."""


def told_of(series: MetricSeriesKey, points: Points, start_s: int, step_s: int, since_s: int) -> Mapping[int, Told]:
    """Return what is told in each step from `start_s` on; what was before, from `since_s` on, tells increases only."""
    if is_reading(series) or series.temporality != Temporality.CUMULATIVE:
        points = [point for point in points if point[0] >= start_s]
        short = _readings(points, start_s, step_s)
    else:
        short = _totals(points, start_s, step_s, since_s)
    if short is not None:
        return short
    samples = samples_of(series, points, start_s, step_s, since_s)
    return {step: Told(_value_of(series, one), one.total, one.last_ns, one.last) for step, one in samples}


def is_reading(series: MetricSeriesKey) -> bool:
    """Tell whether the values stand for themselves, and are not increases."""
    is_total = series.metric_type == MetricType.SUM
    return not is_total or (series.temporality == Temporality.CUMULATIVE and not series.is_monotonic)


def _totals(points: Points, start_s: int, step_s: int, since_s: int) -> dict[int, Told] | None:
    """Return the growth of a total that has one start and never shrank, told once a step; `None` of any other."""
    found: dict[int, Told] = {}
    current, start_ms, before_ns, before = None, 0, 0, -math.inf
    for bucket_s, raw in points:
        step, total = (bucket_s - start_s) // step_s, plain_total_from(raw)
        if total is None or step == current:
            return None
        if current is None:
            start_ms = total.start_ms
            if start_ms and start_ms >= since_s * _MS_PER_S:
                before_ns, before = start_ms * _NS_PER_MS, 0.0
            else:
                before_ns, before = total.first_ns, total.first
        if total.start_ms != start_ms or not -math.inf < before <= total.first <= total.last < math.inf:
            return None
        if total.peak > total.last:
            return None
        if step >= 0:
            found[step] = _growth(before_ns, before, total.last_ns, total.last)
        current, before_ns, before = step, total.last_ns, total.last
    return found


def _growth(before_ns: int, before: float, last_ns: int, last: float) -> Told:
    if last_ns <= before_ns:
        return Told(None, None, last_ns, last)
    added = last - before
    return Told(added / ((last_ns - before_ns) / _NS_PER_S), added, last_ns, last)


def _readings(points: Points, start_s: int, step_s: int) -> dict[int, Told] | None:
    """Return values of which each step has one; `None` if any has more."""
    found: dict[int, Told] = {}
    for bucket_s, raw in points:
        step, reading = (bucket_s - start_s) // step_s, plain_reading_from(raw)
        if reading is None or step in found:
            return None
        last_ns, value = reading
        found[step] = Told(value if math.isfinite(value) else None, value, last_ns, value)
    return found


def _value_of(series: MetricSeriesKey, sample: Sample) -> float | None:
    if sample.total is None or not math.isfinite(sample.total):
        return None
    if is_reading(series):
        return sample.total / sample.count
    return sample.total / sample.seconds if sample.seconds > 0 else None
