"""From the states of one series to what it was in each step: readings, or how much was added in it.

Pure; the only place where the increase of running totals is told. `metric_groups.py` makes values of samples.

A total's increase from one point to the next is their difference, and belongs to the step of the later one. It began
anew, from nothing, when the points name another start, or when it is less than before. Of the first point that is known
all counts if its start lies in the time that was looked at; otherwise nothing does, as others may have been before it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from telemetry.metric_buckets import Buckets, added
from telemetry.metric_series import MetricSeriesKey, MetricType
from telemetry.metric_states import (
    UNKNOWN_SUM,
    Additions,
    Distribution,
    Readings,
    Running,
    Snapshot,
    Start,
    State,
    histogram_from,
    merge_states,
    state_from_bytes,
)
from telemetry.metric_sums import rounded

_NS_PER_S: Final = 1e9
_NS_PER_MS: Final = 10**6


@dataclass(frozen=True, slots=True)
class Sample:
    """A series in a step.

    Of readings: `count` of them, their sum, their extremes, the latest. Of counters: `total` was added. Of histograms
    and summaries: `count` observations, their sum, their extremes, their `buckets`; `last_shape` are the quantiles that
    a summary named last. `seconds` is the time that what was added was added in. `within` are bounds that hold all
    observations, infinite where none is known. What else is not known is `None`.
    """

    count: int = 0
    total: float | None = None
    low: float | None = None
    high: float | None = None
    last_ns: int = 0
    last: float | None = None
    seconds: float = 0.0
    buckets: Buckets | None = None
    within: tuple[float, float] = (-math.inf, math.inf)
    last_shape: bytes = b""


def samples_of(
    series: MetricSeriesKey, points: Iterable[tuple[int, bytes]], start_s: int, step_s: int, since_s: int
) -> Iterator[tuple[int, Sample]]:
    """Yield the number of each step that something is known of, from `start_s` on, and the sample.

    `points` are bucket and state, in time order; those of before `start_s` are there to tell increases by, and
    reach back to `since_s`.
    """
    steps = list(_by_step(points, start_s, step_s))
    totals = _Totals(since_s, series.metric_type, _last_seen(state for _, states in steps for state in states))
    for step, states in steps:
        running = [state for state in states if isinstance(state, Running)]
        # Bucket by bucket, whatever the step: merged, they would tell less of what began anew between them.
        state = running[-1] if running else merge_states(states)
        sample = totals.advance(running) if isinstance(state, Running) else _sample_of(state, step_s)
        if step >= 0:
            yield step, sample


def _last_seen(states: Iterable[State]) -> dict[int, int]:
    """Return by the start of each running total when it was told last."""
    seen: dict[int, int] = {}
    for state in states:
        if isinstance(state, Running):
            for start in state.starts:
                seen[start.start_ms] = max(seen.get(start.start_ms, 0), start.last.time_ns)
    return seen


def _by_step(points: Iterable[tuple[int, bytes]], start_s: int, step_s: int) -> Iterator[tuple[int, list[State]]]:
    current: int | None = None
    states: list[State] = []
    for bucket_s, raw in points:
        step = (bucket_s - start_s) // step_s
        if states and step != current:
            yield current or 0, states
            states = []
        current = step
        states.append(state_from_bytes(raw))
    if states:
        yield current or 0, states


def _sample_of(state: Readings | Additions | Distribution, step_s: int) -> Sample:
    if isinstance(state, Readings):
        points, total, low, high, last_ns, last = state
        return Sample(points, rounded(total), low, high, last_ns, last)
    seconds = (state.end_ns - state.begin_ns) / _NS_PER_S or float(step_s)
    if isinstance(state, Additions):
        return Sample(total=rounded(state.total), last_ns=state.end_ns, seconds=seconds)
    return Sample(
        state.observations,
        None if state.total is None else rounded(state.total),
        state.low if math.isfinite(state.low) else None,
        state.high if math.isfinite(state.high) else None,
        state.end_ns,
        seconds=seconds,
        buckets=state.buckets,
        within=_known(state.low, state.high),
    )


def _known(low: float, high: float) -> tuple[float, float]:
    """Return bounds from extremes, which are infinite the other way round where they are not known."""
    return (low if math.isfinite(low) else -math.inf), (high if math.isfinite(high) else math.inf)


@dataclass(frozen=True, slots=True)
class _Growth:
    """What was added between two times."""

    begin_ns: int
    end_ns: int
    value: float
    observations: int
    buckets: Buckets | None


class _Totals:
    """The running totals of one series, step after step."""

    def __init__(self, since_s: int, metric_type: str, last_seen_ns: Mapping[int, int]) -> None:
        self._last_seen_ns = last_seen_ns
        self._since_ms = since_s * 1_000
        self._is_sum = metric_type == MetricType.SUM
        self._is_summary = metric_type == MetricType.SUMMARY
        self._known: dict[int, Snapshot] = {}

    def advance(self, states: Sequence[Running]) -> Sample:
        """Return what was added up to the last of these states, which are in time order, since those before."""
        if (usual := self._one_reading(states)) is not None:
            return usual
        growths = []
        for state in states:
            for start in sorted(state.starts, key=lambda start: (start.first.time_ns, start.start_ms)):
                growths += self._growths(start)
                self._known[start.start_ms] = start.last
        starts = [start for state in states for start in state.starts]
        last = max(start.last for start in starts)
        value = last.value if self._is_sum else None
        shape = last.shape if self._is_summary else b""
        if not growths:
            return Sample(last_ns=last.time_ns, last=value, last_shape=shape)
        total = sum(growth.value for growth in growths)
        return Sample(
            sum(growth.observations for growth in growths),
            total if math.isfinite(total) else None,
            last_ns=last.time_ns,
            last=value,
            seconds=(max(growth.end_ns for growth in growths) - min(growth.begin_ns for growth in growths)) / _NS_PER_S,
            buckets=_sum_of([growth.buckets for growth in growths if growth.buckets is not None]),
            within=self._bounds_of(starts),
            last_shape=shape,
        )

    def _one_reading(self, states: Sequence[Running]) -> Sample | None:
        """Return the same for a sum that was told once and went on as it was; nearly all are like that.

        A third of the time that all would take, which counts where resources are read.
        """
        if not self._is_sum or len(states) != 1 or len(states[0].starts) != 1:
            return None
        start = states[0].starts[0]
        known, last = self._known.get(start.start_ms), start.last
        if known is None or start.first != last or last.value < known.value or UNKNOWN_SUM in (known.value, last.value):
            return None
        self._known[start.start_ms] = last
        total = last.value - known.value
        return Sample(
            last.observations - known.observations,
            total if math.isfinite(total) else None,
            last_ns=last.time_ns,
            last=last.value,
            seconds=(last.time_ns - known.time_ns) / _NS_PER_S,
        )

    def _growths(self, start: Start) -> list[_Growth]:
        before = self._before(start)
        grown = []
        if before is not None:
            grown.append(self._growth(before, start.first))
        elif start.start_ms and start.start_ms >= self._since_ms:
            grown.append(self._from_nothing(start.start_ms * _NS_PER_MS, start.first))
        if start.last.time_ns > start.first.time_ns:
            grown.append(self._growth(start.first, start.last, start.peak))
        return grown

    def _before(self, start: Start) -> Snapshot | None:
        """Return the last that was known of this total.

        Some reporters tell the same start a little differently each time. A total that claims to have begun before
        another was last seen, is not less, and takes the place of it for good, is the other.
        """
        known = self._known.get(start.start_ms)
        if known is not None or not start.start_ms:
            return known
        replaced = [
            (snapshot, start_ms)
            for start_ms, snapshot in self._known.items()
            if start_ms
            and self._last_seen_ns[start_ms] == snapshot.time_ns < start.first.time_ns
            and start.start_ms * _NS_PER_MS < snapshot.time_ns
            and self._level(snapshot) <= self._level(start.first)
        ]
        if not replaced:
            return None
        snapshot, start_ms = max(replaced)
        del self._known[start_ms]
        return snapshot

    def _growth(self, before: Snapshot, after: Snapshot, peak: float = -math.inf) -> _Growth:
        if self._level(after) < self._level(before) or (self._is_sum and peak > after.value):
            # It began anew in between; what there was up to the peak is known of sums only.
            climb = max(peak, before.value) - before.value if self._is_sum else 0.0
            anew = self._from_nothing(before.time_ns, after)
            return _Growth(anew.begin_ns, anew.end_ns, anew.value + climb, anew.observations, anew.buckets)
        buckets = None
        if after.shape and not self._is_summary:
            buckets = added(histogram_from(after.shape)[2], histogram_from(before.shape)[2], -1)
        is_known = UNKNOWN_SUM not in (before.value, after.value)
        value = after.value - before.value if is_known else UNKNOWN_SUM
        return _Growth(before.time_ns, after.time_ns, value, after.observations - before.observations, buckets)

    def _from_nothing(self, begin_ns: int, after: Snapshot) -> _Growth:
        buckets = histogram_from(after.shape)[2] if after.shape and not self._is_summary else None
        return _Growth(begin_ns, after.time_ns, after.value, after.observations, buckets)

    def _bounds_of(self, starts: Sequence[Start]) -> tuple[float, float]:
        """Return bounds of all observations since these starts, which are bounds of the latest as well."""
        shapes = [] if self._is_summary else [shot.shape for start in starts for shot in (start.first, start.last)]
        bounds = [_known(*histogram_from(shape)[:2]) for shape in shapes if shape]
        if not bounds:
            return -math.inf, math.inf
        return min(low for low, _ in bounds), max(high for _, high in bounds)

    def _level(self, snapshot: Snapshot) -> float:
        """Return what never becomes less without a reset."""
        return snapshot.value if self._is_sum else snapshot.observations


def _sum_of(parts: Sequence[Buckets]) -> Buckets | None:
    if not parts:
        return None
    total = parts[0]
    for part in parts[1:]:
        total = added(total, part)
    return total
