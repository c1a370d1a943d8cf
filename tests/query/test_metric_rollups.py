"""Increases of totals without a start are the same at every tier, however often they begin anew."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from query.metric_samples import samples_of
from storage.metric_rows import MetricRow, sum_metric_rows
from telemetry.metric_buckets import ExplicitBuckets
from telemetry.metric_series import MetricSeriesKey, MetricType
from telemetry.metric_states import MAX_STARTS, Running, Snapshot, Start, merge_states, pack_histogram

HOUR_S = 3_600
START_S = 1_760_000_400 // HOUR_S * HOUR_S
SUM = MetricSeriesKey("shop", "restarts", "1", MetricType.SUM, "cumulative", "true")
HISTOGRAM = SUM._replace(metric_type=MetricType.HISTOGRAM)
Snap = Callable[[int, int], Snapshot]


def of_sum(second: int, value: int) -> Snapshot:
    return Snapshot((START_S + second) * 10**9, float(value))


def of_histogram(second: int, value: int) -> Snapshot:
    shape = pack_histogram(1.0, 1.0, ExplicitBuckets((value, 0)))
    return Snapshot((START_S + second) * 10**9, float(value), value, shape)


def plain_increase(values: Sequence[int]) -> float:
    """All that this file is about: what is less than before began anew."""
    return sum(after - before if after >= before else after for before, after in pairwise(values))


def rows_of(values: Sequence[tuple[int, int]], snap: Snap) -> list[MetricRow]:
    """Return the rows of ten seconds that commits make of these values, each at a second."""
    rows: dict[int, list[Running]] = {}
    for second, value in values:
        shot = snap(second, value)
        rows.setdefault(START_S + second // 10 * 10, []).append(Running((Start(0, shot, shot, shot.value),)))
    return [MetricRow(start_s, 1, merge_states(states).to_bytes()) for start_s, states in rows.items()]


def increase_of(series: MetricSeriesKey, rows: Sequence[MetricRow]) -> float:
    samples = samples_of(series, [(row.start_s, row.state) for row in rows], START_S, 100 * HOUR_S, 0)
    (sample,) = [sample for _, sample in samples]
    return (sample.total or 0.0) if series is SUM else float(sample.count)


COURSES = st.lists(st.integers(0, 60), min_size=2, max_size=200)


@pytest.mark.parametrize(("series", "snap"), [(SUM, of_sum), (HISTOGRAM, of_histogram)])
@example([100, 0, 500, 3, 700, 2, 2, 1], 1)
@example([5, 3] * 360, 2)
@example(list(range(400, 0, -1)), 3)
@given(COURSES, st.integers(0, 9))
def test_an_hour_has_grown_by_what_its_tens_of_seconds_have(
    series: MetricSeriesKey, snap: Snap, values: list[int], seed: int
) -> None:
    """Rolled up to minutes and hours, whatever order the rows come in; sums at any number of resets."""
    resets = sum(after < before for before, after in pairwise(values))
    if series is HISTOGRAM and resets >= MAX_STARTS:
        return
    rows = rows_of([(10 * number + 5, value) for number, value in enumerate(values)], snap)
    minutes = sum_metric_rows(random.Random(seed).sample(rows, len(rows)), 60)
    hours = sum_metric_rows(random.Random(seed).sample(minutes, len(minutes)), HOUR_S)
    for tier in (rows, minutes, hours):
        assert increase_of(series, tier) == plain_increase(values)
    assert all(len(row.state) < 10_000 for row in hours)


def test_a_reset_within_ten_seconds_is_told_by_its_peak_at_every_tier() -> None:
    """And a total that climbs beyond its old peak later on in the hour does not hide it."""
    values = [(1, 10), (4, 18), (8, 5), (15, 7), (25, 40), (95, 2), (3_000, 90)]
    rows = rows_of(values, of_sum)
    minutes = sum_metric_rows(rows, 60)
    wanted = 8 + 5 + 2 + 33 + 2 + 88
    assert [increase_of(SUM, tier) for tier in (rows, minutes, sum_metric_rows(minutes, HOUR_S))] == [wanted] * 3


def test_what_comes_after_its_hour_was_moved_neither_counts_twice_nor_takes_away() -> None:
    """A point from amidst a stretch changes nothing; between two stretches it counts as it would have."""
    hour = sum_metric_rows(rows_of([(5, 10), (95, 30), (205, 4), (305, 9)], of_sum), HOUR_S)
    for second, value, wanted in ((45, 20, 29), (145, 33, 32), (185, 2, 29), (405, 12, 32)):
        late = rows_of([(second, value)], of_sum)
        assert increase_of(SUM, sum_metric_rows([*late, *hour], HOUR_S)) == wanted
