"""One numpy group-by equals a dict of lists, whatever the durations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from processor.aggregation import aggregate
from processor.span_columns import SpanColumns
from telemetry import ExponentialHistogram, RedPoint, SeriesKey, merge_red_points
from tests.support.plain_red import by_series_and_second

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

START_NS = 1_760_000_000_000_000_000
SERIES = [SeriesKey(f"service-{index}") for index in range(5)]


def columns_of(rows: Sequence[tuple[int, int, int, bool]], series: Sequence[SeriesKey] = SERIES) -> SpanColumns:
    """Columns from rows of series index, end, duration and outcome."""
    index, end_ns, duration_ns, is_error = (list(column) for column in zip(*rows, strict=True)) if rows else ([],) * 4
    return SpanColumns(
        series,
        np.array(index, dtype=np.int64),
        np.array(end_ns, dtype=np.int64),
        np.array(duration_ns, dtype=np.int64),
        np.array(is_error, dtype=np.bool_),
        item_count=len(rows),
        skipped_count=0,
        excluded_count=0,
        invalid_count=0,
        late_count=0,
    )


def plain(parts: Sequence[SpanColumns]) -> dict[tuple[SeriesKey, int], RedPoint]:
    durations: defaultdict[tuple[SeriesKey, int], list[int]] = defaultdict(list)
    errors: defaultdict[tuple[SeriesKey, int], int] = defaultdict(int)
    for part in parts:
        for row in range(len(part.series_index)):
            group = part.series[int(part.series_index[row])], int(part.end_ns[row]) // 10**9
            durations[group].append(int(part.duration_ns[row]))
            errors[group] += bool(part.is_error[row])
    return {
        (series, second): RedPoint(series, second, len(group), errors[series, second], ExponentialHistogram.of(group))
        for (series, second), group in durations.items()
    }


def test_nothing_gives_no_points() -> None:
    """No columns and empty columns are both nothing."""
    assert aggregate([]) == aggregate([columns_of([])]) == []


def test_a_point_is_made_per_series_and_second() -> None:
    """Spans that end in the same second of the same series add up; others do not."""
    rows = [(0, START_NS, 5, False), (0, START_NS + 999_999_999, 7, True), (0, START_NS + 10**9, 9, False)]
    points = aggregate([columns_of([*rows, (1, START_NS, 5, True)])])
    second = START_NS // 10**9
    assert [(p.series, p.start_s, p.calls, p.errors) for p in points] == [
        (SERIES[0], second, 2, 1),
        (SERIES[0], second + 1, 1, 0),
        (SERIES[1], second, 1, 1),
    ]
    assert points[0].durations == ExponentialHistogram.of([5, 7])


def test_values_are_plain_python() -> None:
    """Points go to drivers and JSON, which do not know numpy's integers."""
    [point] = aggregate([columns_of([(0, START_NS, 5, True)])])
    histogram = point.durations
    values = [point.start_s, point.calls, point.errors, histogram.sum_ns, histogram.min_ns, histogram.max_ns]
    assert {type(value) for value in values} == {int}
    assert type(histogram.buckets) is bytes


rng = np.random.default_rng


DISTRIBUTIONS: dict[str, Callable[[int], NDArray[np.int64]]] = {
    "uniform": lambda n: rng(1).integers(0, 10**9, n),
    "lognormal": lambda n: (rng(2).lognormal(2, 0.7, n) * 1e6).astype(np.int64),
    "heavy tail": lambda n: np.minimum(rng(3).pareto(0.7, n) * 1e6, 2**60).astype(np.int64),
    "bimodal": lambda n: np.where(rng(4).random(n) < 0.5, 10**6, 10**9),
    "constant": lambda n: np.full(n, 123_456_789),
    "zeros": lambda n: np.zeros(n, dtype=np.int64),
    "powers of two": lambda n: 2 ** rng(5).integers(0, 62, n),
    "longest": lambda n: np.full(n, 2**63 - 1),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_named_distributions_equal_the_plain_reference(name: str) -> None:
    """Counts, errors, sums, extremes and every bucket are the same as one list per group gives."""
    durations = DISTRIBUTIONS[name](5000).tolist()
    ends = START_NS + rng(6).integers(0, 5 * 10**9, 5000)
    rows = list(
        zip(
            rng(7).integers(0, 5, 5000).tolist(),
            ends.tolist(),
            durations,
            (rng(8).random(5000) < 0.1).tolist(),
            strict=True,
        )
    )
    parts = [columns_of(rows[start : start + 700]) for start in range(0, 5000, 700)]
    assert by_series_and_second(aggregate(parts)) == plain(parts)


row_tuples = st.tuples(
    st.integers(0, 4),
    st.one_of(
        st.integers(START_NS - 2 * 10**9, START_NS + 2 * 10**9),
        st.integers(946_684_800 * 10**9, 4_102_444_800 * 10**9),
    ),
    st.one_of(st.integers(0, 2**63 - 1), st.integers(0, 100), st.integers(0, 10**10)),
    st.booleans(),
)


@UNHURRIED
@given(st.lists(st.lists(row_tuples, max_size=30), max_size=5), st.randoms(use_true_random=False))
def test_any_rows_equal_the_plain_reference_in_any_order(rows: list[list[tuple[int, int, int, bool]]], random) -> None:  # type: ignore[no-untyped-def]
    """From 2000 to 2100, from zero to 292 years, in whatever batches: the result is that of dicts and lists."""
    parts = [columns_of(part) for part in rows]
    expected = plain(parts)
    assert by_series_and_second(aggregate(parts)) == expected
    everything = [row for part in rows for row in part]
    random.shuffle(everything)
    assert by_series_and_second(aggregate([columns_of(everything)])) == expected


def test_columns_of_different_decoders_are_added_up_by_series() -> None:
    """Series lists may differ and overlap: the series decides, not its number."""
    first = columns_of([(0, START_NS, 5, False), (1, START_NS, 6, False)], SERIES[:2])
    second = columns_of([(0, START_NS, 7, True), (1, START_NS, 8, False)], [SERIES[1], SERIES[0]])
    assert by_series_and_second(aggregate([first, second])) == plain([first, second])


def test_points_of_parts_merge_to_the_points_of_the_whole() -> None:
    """Adding up batch by batch or all at once gives the same, so groups may be cut anywhere."""
    parts = [
        columns_of([(n % 5, START_NS + n * 10**8, n * 10**6, n % 3 == 0) for n in range(at, at + 50)]) for at in (0, 50)
    ]
    merged = merge_red_points([point for part in parts for point in aggregate([part])])
    assert by_series_and_second(merged) == by_series_and_second(aggregate(parts))
