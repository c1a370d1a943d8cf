"""Quantiles of merged histograms, whatever their buckets: explicit, exponential, or of different bounds.

Pure; asked by `metric_groups.py`. Within a bucket, observations count as spread evenly, so that the answer is never
farther from the truth than the bucket is wide. What lies beyond the outermost bound is taken to lie between it and the
extreme that the points named; without one, at the bound, or for the first bucket between it and zero.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final

import numpy as np

from telemetry.metric_buckets import Buckets, ExplicitBuckets, Side

_LARGEST: Final = sys.float_info.max
_ROUNDING: Final = 1e-12

Interval = tuple[float, float]


def intervals_of(bounds: str, buckets: Buckets) -> dict[Interval, int]:
    """Return how many observations lie in which intervals; `bounds` are those that the series of explicit ones names.

    The outermost intervals of explicit buckets are infinite.
    """
    if isinstance(buckets, ExplicitBuckets):
        edges = [-math.inf, *map(float, bounds.split(",") if bounds else ()), math.inf]
        return {interval: count for interval, count in zip(pairwise(edges), buckets.counts, strict=True) if count}
    found: Counter[Interval] = Counter()
    if buckets.zero_count:
        found[-buckets.zero_threshold, buckets.zero_threshold] += buckets.zero_count
    for low, high, count in _sides(buckets.scale, buckets.positive):
        found[low, high] += count
    for low, high, count in _sides(buckets.scale, buckets.negative):
        found[-high, -low] += count
    return found


def quantile_of(parts: Iterable[Mapping[Interval, int]], within: Interval, quantile: float) -> float | None:
    """Return the quantile of all observations of the parts, which lie `within` bounds, infinite where none is known.

    `None` if there are no observations, or nothing tells where they lie.
    """
    counts: Counter[Interval] = Counter()
    for part in parts:
        counts.update(part)
    bounded: Counter[Interval] = Counter()
    for interval, count in counts.items():
        bounded[_bounded(interval, within)] += count
    total = bounded.total()
    if not total or (-math.inf, math.inf) in bounded:
        return None
    intervals = sorted(bounded)
    find = _of_disjoint if all(one[1] <= other[0] for one, other in pairwise(intervals)) else _of_overlapping
    return find(intervals, [bounded[interval] for interval in intervals], quantile * total)


def _bounded(interval: Interval, within: Interval) -> Interval:
    """Return the part of an interval that lies within the bounds; an end that is still infinite becomes finite."""
    low, high = max(interval[0], within[0]), min(interval[1], within[1])
    if low > high:
        low, high = interval  # whoever named such bounds was mistaken
    if math.isinf(low) and math.isinf(high):
        return low, high
    if math.isinf(low):
        low = min(0.0, high)
    return (low, low) if math.isinf(high) else (low, high)


def _sides(scale: int, side: Side) -> Iterator[tuple[float, float, int]]:
    for index, count in enumerate(side.counts, start=side.offset):
        if count:
            yield _bound(scale, index), _bound(scale, index + 1), count


def _bound(scale: int, index: int) -> float:
    exponent = index * 2.0**-scale
    return 2.0**exponent if exponent < sys.float_info.max_exp else _LARGEST


def _of_disjoint(intervals: Sequence[Interval], counts: Sequence[int], rank: float) -> float:
    seen = 0
    least = rank * (1 - _ROUNDING)  # so that 95 % of 20 are 19 and not a little more
    for (low, high), count in zip(intervals, counts, strict=True):
        if seen + count >= least:
            return low + (high - low) * min(max(rank - seen, 0.0) / count, 1.0)
        seen += count
    return intervals[-1][1]


def _of_overlapping(intervals: Sequence[Interval], counts: Sequence[int], rank: float) -> float:
    """Return the smallest value up to which so many observations lie, where several intervals share a place."""
    low, high = np.array(intervals).T
    count = np.array(counts, dtype=float)
    width = np.where(high > low, high - low, 1.0)
    places = np.unique(np.concatenate([low, high]))

    def up_to(place: float) -> float:
        share = np.where(high > low, np.clip((place - low) / width, 0.0, 1.0), low <= place)
        return float(share @ count)

    first, last = 0, len(places) - 1
    while first < last:
        middle = (first + last) // 2
        if up_to(float(places[middle])) >= rank:
            last = middle
        else:
            first = middle + 1
    end = float(places[first])
    if not first:
        return end
    begin = float(places[first - 1])
    below, above = up_to(begin), up_to(end)
    # What lies exactly at the end is no part of the climb towards it.
    at_end = float(count[(low == end) & (high == end)].sum())
    climb = above - at_end - below
    return begin + (end - begin) * min((rank - below) / climb, 1.0) if climb > 0 else end
