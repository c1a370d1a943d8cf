"""The estimate of how many distinct values went by."""

from __future__ import annotations

import pytest

from processor.cardinality import DistinctCount


@pytest.mark.parametrize("count", [0, 1, 10, 1_000, 5_000, 20_000, 200_000])
def test_the_estimate_is_within_a_tenth(count: int) -> None:
    """Four standard errors of 2.3 %, at any size, from the exact small counts to the large ones."""
    distinct = DistinctCount()
    distinct.add(f"value {number}" for number in range(count))
    assert distinct.estimate() == pytest.approx(count, rel=0.1, abs=1)


def test_repeated_values_count_once() -> None:
    """However often and in whatever portions they come."""
    distinct = DistinctCount()
    for _ in range(5):
        distinct.add(f"value {number % 100}" for number in range(1_000))
    assert distinct.estimate() == pytest.approx(100, abs=5)
