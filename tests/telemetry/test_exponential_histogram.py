"""The histogram against exact quantiles, and the algebra of merging."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from telemetry.exponential_histogram import (
    BASE,
    BUCKET_LIMIT,
    EMPTY,
    MAX_INDEX,
    MIN_INDEX,
    OVERFLOW_INDEX,
    RELATIVE_ERROR,
    ZERO_INDEX,
    ExponentialHistogram,
    bucket_indexes,
)

US, MS, S, HOUR = 1_000, 1_000_000, 1_000_000_000, 3_600_000_000_000
SHARES = (0.5, 0.95, 0.99)
RNG = np.random.default_rng(20)

DISTRIBUTIONS: dict[str, NDArray[np.int64]] = {
    "uniform over a second": RNG.integers(1, S, 100_000),
    "lognormal around 8 ms": (RNG.lognormal(2, 0.7, 100_000) * MS).astype(np.int64),
    "heavy tail (Pareto, alpha 1.1)": np.minimum(RNG.pareto(1.1, 200_000) * MS + US, HOUR).astype(np.int64),
    "bimodal, 1 ms and 2 s": np.concatenate([RNG.normal(MS, 1e4, 9_000), RNG.normal(2 * S, 1e7, 1_000)]).astype(
        np.int64
    ),
    "bimodal, the split at P95": np.repeat([MS, S], [95, 5]),
    "constant": np.full(1_000, 37 * MS),
    "one sample": np.array([123_456_789]),
    "two samples": np.array([US, HOUR]),
    "single nanoseconds": RNG.integers(1, 50, 10_000),
    "nanoseconds to hours, even in the logarithm": np.exp(RNG.uniform(0, np.log(10 * HOUR), 300_000)).astype(np.int64),
    "every power of two": 2 ** np.arange(47, dtype=np.int64),
    "exponential": (RNG.exponential(50 * MS, 100_000) + 1).astype(np.int64),
    "millions of samples": (RNG.gamma(2.0, 20 * MS, 3_000_000) + 1).astype(np.int64),
}


def exact(durations: NDArray[np.int64], share: float) -> float:
    return float(np.quantile(durations, share, method="inverted_cdf")) / 1e9


def test_the_promised_error_is_under_one_percent() -> None:
    """The bound that follows from the scale is below 1 %, and the next coarser scale would break it."""
    assert RELATIVE_ERROR < 0.01
    coarser = BASE**2
    assert (coarser - 1) / (coarser + 1) > 0.01


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_quantiles_are_within_the_bound(name: str) -> None:
    """P50, P95 and P99 differ from the exact nearest-rank quantile by at most the promised relative error."""
    durations = DISTRIBUTIONS[name]
    estimates = ExponentialHistogram.of(durations).quantiles(SHARES)
    for share, estimate in zip(SHARES, estimates, strict=True):
        assert estimate == pytest.approx(exact(durations, share), rel=RELATIVE_ERROR * 1.0001)


@pytest.mark.parametrize("name", [name for name in DISTRIBUTIONS if name != "millions of samples"])
def test_merging_in_any_order_is_the_histogram_of_everything(name: str) -> None:
    """Split into parts at random and merged in random order and nesting, a distribution gives the very same bytes."""
    durations = DISTRIBUTIONS[name]
    whole = ExponentialHistogram.of(durations)
    shuffler = random.Random(name)
    parts = [ExponentialHistogram.of(part) for part in np.array_split(RNG.permutation(durations), 17)]
    for _ in range(3):
        shuffler.shuffle(parts)
        cut = shuffler.randrange(len(parts))
        nested = [ExponentialHistogram.merge(parts[:cut]), ExponentialHistogram.merge(parts[cut:])]
        assert ExponentialHistogram.merge(nested).to_bytes() == whole.to_bytes()


@given(st.lists(st.integers(0, 20 * HOUR), min_size=1, max_size=200), st.floats(0, 1))
def test_any_quantile_of_any_samples_is_within_the_bound(samples: list[int], share: float) -> None:
    """For arbitrary samples and shares the estimate stays within the bound of a sample of that rank."""
    estimate = ExponentialHistogram.of(samples).quantile(share)
    rank = max(1, int(np.ceil(share * len(samples) - 1e-9)))
    assert estimate == pytest.approx(sorted(samples)[rank - 1] / 1e9, rel=RELATIVE_ERROR * 1.0001, abs=1e-15)


@given(st.lists(st.lists(st.integers(-5, 50 * HOUR), max_size=20), max_size=6))
def test_count_sum_and_extremes_are_exact(groups: list[list[int]]) -> None:
    """However samples are grouped before merging, count, sum, minimum and maximum are those of all samples."""
    merged = ExponentialHistogram.merge(ExponentialHistogram.of(group) for group in groups)
    samples = [max(sample, 0) for sample in itertools.chain.from_iterable(groups)]
    assert merged.count == len(samples)
    assert merged.sum_ns == sum(samples)
    assert (merged.min_ns, merged.max_ns) == ((min(samples), max(samples)) if samples else (0, 0))


def test_bytes_round_trip() -> None:
    """What is read back from the form at rest is equal to what was written."""
    histogram = ExponentialHistogram.of([0, 1, MS, HOUR])
    assert ExponentialHistogram.from_bytes(histogram.to_bytes()) == histogram
    assert ExponentialHistogram.from_bytes(EMPTY.to_bytes()) == EMPTY


def test_nothing_has_no_quantile() -> None:
    """An empty histogram answers `None`, and merging with it changes nothing."""
    assert EMPTY.quantiles(SHARES) == [None, None, None]
    histogram = ExponentialHistogram.of([MS])
    assert ExponentialHistogram.merge([EMPTY, histogram, EMPTY]) == histogram
    assert ExponentialHistogram.merge([]) == EMPTY
    assert ExponentialHistogram.of([]) == EMPTY


def test_zero_durations_have_a_bucket_of_their_own() -> None:
    """Zero and negative durations are counted, and quantiles that fall on them are exactly zero."""
    histogram = ExponentialHistogram.of([0, -7, 0, MS])
    assert histogram.bucket_counts()[ZERO_INDEX] == 3
    assert histogram.quantile(0.5) == 0.0
    assert histogram.quantile(1.0) == pytest.approx(0.001)


def test_beyond_39_hours_counts_stay_exact() -> None:
    """Durations past the last bucket are counted in one overflow bucket that is answered with the maximum."""
    histogram = ExponentialHistogram.of([MS, 2**47, 2**50, 2**62])
    assert histogram.count == 4
    assert histogram.bucket_counts()[OVERFLOW_INDEX] >= 2
    assert histogram.quantile(1.0) == 2**62 / 1e9


def test_the_number_of_buckets_is_bounded() -> None:
    """No input, however wide, fills more buckets than the limit."""
    durations = np.exp(RNG.uniform(0, np.log(2**62), 500_000)).astype(np.int64)
    assert len(ExponentialHistogram.of(durations).bucket_counts()) <= BUCKET_LIMIT


def test_each_index_holds_what_the_specification_says() -> None:
    """A duration d has index i exactly when base**i < d <= base**(i+1), away from rounding at the borders."""
    durations = np.exp(RNG.uniform(0, np.log(2**46), 10_000))
    indexes = bucket_indexes(durations)
    seconds = durations / 1e9
    assert ((indexes >= MIN_INDEX) & (indexes <= MAX_INDEX)).all()
    assert (seconds <= BASE ** (indexes + 1.0) * (1 + 1e-12)).all()
    assert (seconds > BASE ** (indexes + 0.0) * (1 - 1e-12)).all()
