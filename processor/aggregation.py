"""RED points from columns of spans: one group-by over everything a commit holds.

Pure, between `span_columns` and the store. The work is done once per group in numpy, not once per span in Python.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from processor.span_columns import SpanColumns
from telemetry import ExponentialHistogram, RedPoint, SeriesKey
from telemetry.exponential_histogram import (
    BUCKET_DTYPE,
    BUCKET_LIMIT,
    ZERO_INDEX,
    bucket_indexes,
    pack_buckets,
)

_NS_PER_S: Final = 10**9
_LOW_BITS: Final = 32
_MAX_SUM_NS: Final = 2**63 - 1


def aggregate(columns: Sequence[SpanColumns]) -> list[RedPoint]:
    """Return one point per series and second in which spans ended, ordered by second within each series.

    The points are those that `ExponentialHistogram.of` makes of each group's durations; the order of `columns` and
    of their rows makes no difference.
    """
    series, series_index = _common_series(columns)
    if not series_index.size:
        return []
    second = np.concatenate([part.end_ns for part in columns]) // _NS_PER_S
    duration_ns = np.concatenate([part.duration_ns for part in columns])
    is_error = np.concatenate([part.is_error for part in columns])

    # One sort key of series, second and histogram bucket. It fits 63 bits with room to spare: a century has 2**32
    # seconds, a histogram 2**12 buckets, which leaves 2**19 series in one group.
    first_second = int(second.min())
    seconds = int(second.max()) - first_second + 1
    group = series_index * seconds + (second - first_second)
    key = group * BUCKET_LIMIT + (bucket_indexes(duration_ns) - ZERO_INDEX)
    order = np.argsort(key)

    group = group[order]
    starts = _run_starts(group)
    groups = group[starts]
    rows = zip(
        (groups // seconds).tolist(),
        (groups % seconds + first_second).tolist(),
        np.diff(starts, append=group.size).tolist(),
        np.add.reduceat(is_error[order].astype(np.int64), starts).tolist(),
        _histograms(key[order], duration_ns[order], starts),
        strict=True,
    )
    return [
        RedPoint(series[index], start_s, calls, errors, durations) for index, start_s, calls, errors, durations in rows
    ]


def _histograms(
    key: NDArray[np.int64], duration_ns: NDArray[np.int64], starts: NDArray[np.intp]
) -> Iterator[ExponentialHistogram]:
    """Yield the histogram of each group, whose rows begin at `starts` and are sorted by bucket within it.

    All buckets of all groups are packed as one array; each histogram is a slice of its bytes.
    """
    bucket_starts = _run_starts(key)
    counts = np.diff(bucket_starts, append=key.size)
    packed = pack_buckets(key[bucket_starts] % BUCKET_LIMIT + ZERO_INDEX, counts)
    cuts = np.searchsorted(bucket_starts, np.append(starts, key.size)) * BUCKET_DTYPE.itemsize
    lowest, highest = np.minimum.reduceat(duration_ns, starts), np.maximum.reduceat(duration_ns, starts)
    rows = zip(pairwise(cuts.tolist()), _sums(duration_ns, starts), lowest.tolist(), highest.tolist(), strict=True)
    for (start, end), sum_ns, min_ns, max_ns in rows:
        yield ExponentialHistogram(packed[start:end], sum_ns, min_ns, max_ns)


def _common_series(columns: Sequence[SpanColumns]) -> tuple[Sequence[SeriesKey], NDArray[np.int64]]:
    """Return one list of series and the index into it of every row of all `columns`."""
    if not columns:
        return [], np.empty(0, dtype=np.int64)
    if all(part.series is columns[0].series for part in columns):
        return columns[0].series, np.concatenate([part.series_index for part in columns])
    indexes: dict[SeriesKey, int] = {}
    parts = []
    for part in columns:
        to_common = [indexes.setdefault(series, len(indexes)) for series in part.series]
        parts.append(np.array(to_common, dtype=np.int64)[part.series_index])
    return list(indexes), np.concatenate(parts)


def _run_starts(ordered: NDArray[np.int64]) -> NDArray[np.intp]:
    """Return where each run of equal values begins in a sorted array."""
    return np.flatnonzero(np.diff(ordered, prepend=ordered[0] - 1))


def _sums(duration_ns: NDArray[np.int64], starts: NDArray[np.intp]) -> list[int]:
    """Return exact sums per run, cut off where a histogram's sum ends; halves of 32 bits cannot overflow."""
    high = np.add.reduceat(duration_ns >> _LOW_BITS, starts).tolist()
    low = np.add.reduceat(duration_ns & (2**_LOW_BITS - 1), starts).tolist()
    return [min((upper << _LOW_BITS) + lower, _MAX_SUM_NS) for upper, lower in zip(high, low, strict=True)]
