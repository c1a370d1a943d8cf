"""What a step of a resource tells is the same by the short way as by the one for all metrics."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from query.metric_samples import samples_of
from query.resources.readings import Told, told_of
from telemetry.metric_series import MetricSeriesKey, MetricType, Temporality
from telemetry.metric_states import (
    Readings,
    Running,
    Snapshot,
    Start,
    State,
    merge_states,
    plain_reading_from,
    plain_total_from,
    state_from_bytes,
)
from telemetry.metric_sums import exact

START_S = 1_760_000_400
SINCE_S = START_S - 120
TOTAL = MetricSeriesKey("shop", "process.cpu.time", "s", MetricType.SUM, Temporality.CUMULATIVE, "true")
GAUGE = MetricSeriesKey("shop", "container.cpu.limit", "{cpus}")
UP_AND_DOWN = TOTAL._replace(is_monotonic="")
LEVELS = st.one_of(st.floats(0, 1e6), st.sampled_from([0.0, 1.0, math.inf, math.nan]))
POINTS = st.lists(st.tuples(st.integers(1, 25), LEVELS), min_size=1, max_size=60)
"""Seconds since the point before, and what a total grows by; a reading's value."""
WIDTHS = st.sampled_from([(10, 10), (10, 60), (60, 60), (60, 120)])
"""Of buckets and of steps."""
Steps = dict[int, tuple[Any, ...]]


def states(points: Sequence[tuple[int, State]], width_s: int) -> list[tuple[int, bytes]]:
    buckets: defaultdict[int, list[State]] = defaultdict(list)
    for second, state in points:
        buckets[second // width_s * width_s].append(state)
    return [(bucket_s, merge_states(of_bucket).to_bytes()) for bucket_s, of_bucket in sorted(buckets.items())]


def long_way(series: MetricSeriesKey, points: Sequence[tuple[int, bytes]], step_s: int) -> Steps:
    """Return value, what was added and the last, written down plainly."""
    told: dict[int, tuple[object, ...]] = {}
    for step, one in samples_of(series, points, START_S, step_s, SINCE_S):
        divisor = one.seconds if series is TOTAL else one.count
        is_known = one.total is not None and math.isfinite(one.total) and divisor > 0
        told[step] = (
            one.total / divisor if is_known and one.total is not None else None,
            one.total if series is TOTAL else None,
            one.last_ns,
            one.last,
        )
    return told


def plainly(series: MetricSeriesKey, told: Mapping[int, Told]) -> Steps:
    added = {step: one.added if series is TOTAL else None for step, one in told.items()}
    return {step: (one.value, added[step], one.last_ns, one.last) for step, one in told.items()}


def same(one: Steps, other: Steps) -> None:
    assert one.keys() == other.keys()
    for step, values in one.items():
        for value, expected in zip(values, other[step], strict=True):
            is_near = None if expected is None else pytest.approx(expected, rel=1e-6, abs=1e-6, nan_ok=True)
            assert value == is_near


@given(POINTS, WIDTHS, st.sampled_from([0, SINCE_S - 500, SINCE_S + 5]), st.sets(st.integers(0, 59), max_size=3))
@example([(10, 1.0)] * 40, (10, 10), 0, set())
@example([(10, 1.0)] * 40, (60, 60), SINCE_S + 5, set())
@example([(10, 5.0)] * 40, (10, 10), 0, {17})
def test_a_total_has_grown_as_much(
    points: list[tuple[int, float]], widths: tuple[int, int], began_s: int, resets: set[int]
) -> None:
    """Told once a step or oftener, with a start or without, whether or not it began anew between."""
    told: list[tuple[int, State]] = []
    second, value = SINCE_S + 10, 0.0
    for number, (pause_s, growth) in enumerate(points):
        second, value = second + pause_s, growth if number in resets else value + growth
        shot = Snapshot(second * 10**9, value)
        told.append((second, Running((Start(began_s * 1_000, shot, shot, value),))))
    width_s, step_s = widths
    rows = states(told, width_s)
    same(plainly(TOTAL, told_of(TOTAL, rows, START_S, step_s, SINCE_S)), long_way(TOTAL, rows, step_s))


@given(POINTS, WIDTHS, st.sampled_from([GAUGE, UP_AND_DOWN]))
@example([(10, 7.0)] * 40, (10, 10), GAUGE)
def test_a_reading_is_as_large(
    points: list[tuple[int, float]], widths: tuple[int, int], series: MetricSeriesKey
) -> None:
    """One a step, or the mean of several."""
    told: list[tuple[int, State]] = []
    second = SINCE_S + 10
    for pause_s, value in points:
        if math.isfinite(value):  # others are no points
            second += pause_s
            told.append((second, Readings(1, exact(value), value, value, second * 10**9, value)))
    width_s, step_s = widths
    rows = states(told, width_s)
    same(plainly(series, told_of(series, rows, START_S, step_s, SINCE_S)), long_way(series, rows, step_s))


def test_the_short_way_reads_what_the_long_one_does() -> None:
    """Of the usual states; of others it reads nothing, rather than something else."""
    first, last = Snapshot(5, 1.5), Snapshot(9, 2.5)
    for start in (Start(7, first, last, 3.5), Start(0, last, last, 2.5)):
        raw = Running((start,)).to_bytes()
        total = plain_total_from(raw)
        assert total is not None
        assert Start(total[0], Snapshot(*total[1:3]), Snapshot(*total[3:5]), total[5]) == start
        assert state_from_bytes(raw) == Running((start,))
        assert plain_reading_from(raw) is None
    shaped = Start(7, Snapshot(5, 1.5, 1, b"shape"), Snapshot(9, 2.5, 2, b"shape"), 3.5)
    two = (Start(1, first, first, 1.5), Start(2, last, last, 2.5))
    assert [plain_total_from(Running(starts).to_bytes()) for starts in ((shaped,), two, ())] == [None, None, None]
    one = Readings(1, exact(4.5), 4.5, 4.5, 9, 4.5)
    assert plain_reading_from(one.to_bytes()) == (9, 4.5)
    assert plain_reading_from(merge_states([one, one]).to_bytes()) is None
    assert plain_total_from(one.to_bytes()) is None
