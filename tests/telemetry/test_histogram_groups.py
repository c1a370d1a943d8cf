"""Merging by the group gives, to the byte, what merging one after the other gives."""

from __future__ import annotations

import random

from hypothesis import example, given
from hypothesis import strategies as st

from telemetry import ExponentialHistogram, RedColumns, RedPoint, SeriesKey, merge_red_points
from telemetry.histogram_groups import merge_groups

DURATIONS = st.lists(st.integers(-5, 10) | st.integers(0, 2**62), max_size=6)


def expected(durations: list[list[int]], groups: list[int], count: int) -> list[ExponentialHistogram]:
    parts = [ExponentialHistogram.of(of_row) for of_row in durations]
    return [
        ExponentialHistogram.merge(part for part, group in zip(parts, groups, strict=True) if group == number)
        for number in range(count)
    ]


@given(st.lists(st.tuples(st.integers(0, 4), DURATIONS), max_size=30))
@example([(0, []), (0, []), (1, []), (1, [7])])
@example([(2, [2**62] * 6), (2, [2**62] * 6), (2, [])])
def test_any_histograms_in_any_groups_are_merged_as_one_by_one(rows: list[tuple[int, list[int]]]) -> None:
    """Empty ones, single ones, zeros, the longest durations, groups in any order and groups without any."""
    groups = [group for group, _ in rows]
    durations = [of_row for _, of_row in rows]
    at_rest = [ExponentialHistogram.of(of_row).to_bytes() for of_row in durations]
    assert merge_groups(at_rest, groups, 6) == expected(durations, groups, 6)


def test_groups_larger_and_smaller_than_what_is_worked_on_at_once() -> None:
    """Two thousand rows, of which half are in one group, are the same in sorted and in random order."""
    dice = random.Random(1)
    rows = [(0 if n % 2 else n % 700, [dice.randint(1, 10**10) for _ in range(n % 4)]) for n in range(2_000)]
    for order in (sorted(rows), rows):
        groups = [group for group, _ in order]
        at_rest = [ExponentialHistogram.of(durations).to_bytes() for _, durations in order]
        found = merge_groups(at_rest, groups, 700)
        assert found == expected([durations for _, durations in order], groups, 700)


def test_points_are_the_same_as_columns() -> None:
    """A sequence of points becomes columns and is a sequence of the same points."""
    points = [RedPoint(SeriesKey(f"s{n % 3}"), n * 7, n, n // 2, ExponentialHistogram.of(range(n))) for n in range(12)]
    columns = RedColumns.of(iter(points))
    assert [*columns] == points
    assert columns[-1] == points[-1]
    assert columns[2:5] == points[2:5]
    assert len(RedColumns.of(())) == 0
    twice = merge_red_points([*points, *columns], 30)
    assert sum(point.calls for point in twice) == 2 * sum(point.calls for point in points)
