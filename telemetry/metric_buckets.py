"""The buckets of OTLP's two kinds of histograms: added up, taken from one another, and asked for quantiles.

Part of the states of metrics. Explicit buckets are counts by bounds that their series names, so they add up as they
stand. Exponential ones come at any scale and are brought to a common one first (Metrics Data Model, "Exponential
Scale"), and on to a lower one while they would take more than `MAX_BUCKETS`: whatever the order of merging, the result
is at the highest scale at which all of them fit.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

MAX_BUCKETS: Final = 320
"""The most that one side of a merged exponential histogram takes: twice what SDKs make unless told otherwise."""
MAX_COUNT: Final = 2**63 - 1

_WIDTHS: Final = ((2**8, "B"), (2**16, "H"), (2**32, "I"), (2**64, "Q"))
_COUNTS_HEAD: Final = struct.Struct("<cH")
_EXPONENTIAL_HEAD: Final = struct.Struct("<hQdii")


class ExplicitBuckets(NamedTuple):
    """How many values fell between the bounds of the series: one more than there are bounds."""

    counts: tuple[int, ...]

    @property
    def observations(self) -> int:
        return sum(self.counts)


class Side(NamedTuple):
    """Counts of the buckets from index `offset` on, on the positive or the negative side; none is empty at an end."""

    offset: int = 0
    counts: tuple[int, ...] = ()


class ExponentialBuckets(NamedTuple):
    """Bucket i holds values from base**i to base**(i + 1), base = 2**(2**-scale); `zero_count` those around zero."""

    scale: int
    zero_count: int
    zero_threshold: float
    positive: Side
    negative: Side

    @property
    def observations(self) -> int:
        return self.zero_count + sum(self.positive.counts) + sum(self.negative.counts)


Buckets = ExplicitBuckets | ExponentialBuckets


def exponential_buckets(
    scale: int, zero_count: int, zero_threshold: float, positive: Side, negative: Side
) -> ExponentialBuckets:
    """Return these buckets in the one form that stands for them: without empty ones at the ends, and not too many."""
    positive, negative = _trimmed(positive), _trimmed(negative)
    shift = max(_shift_for(positive), _shift_for(negative))
    return ExponentialBuckets(
        scale - shift, zero_count, zero_threshold, _coarser(positive, shift), _coarser(negative, shift)
    )


def added(first: Buckets, second: Buckets, sign: int = 1) -> Buckets:
    """Return the sum of two, or with a `sign` of -1 what is left of the first; what would be less than none is none.

    Raises `TypeError` if they are not of one kind, `ValueError` if the bounds of explicit ones are not as many.
    """
    if isinstance(first, ExplicitBuckets) and isinstance(second, ExplicitBuckets):
        pairs = zip(first.counts, second.counts, strict=True)
        return ExplicitBuckets(tuple([_bounded(one + sign * other) for one, other in pairs]))
    if not isinstance(first, ExponentialBuckets) or not isinstance(second, ExponentialBuckets):
        raise TypeError("explicit and exponential buckets do not add up")
    scale = min(first.scale, second.scale)
    # Far apart as they may lie: what would be too many buckets is never written out.
    pairs_of_sides = [
        (_coarser(one, first.scale - scale), _coarser(other, second.scale - scale))
        for one, other in ((first.positive, second.positive), (first.negative, second.negative))
    ]
    shift = max(_shift_for(*pair) for pair in pairs_of_sides)
    positive, negative = (
        _trimmed(_joined(_coarser(one, shift), _coarser(other, shift), sign)) for one, other in pairs_of_sides
    )
    zero_count = _bounded(first.zero_count + sign * second.zero_count)
    threshold = max(first.zero_threshold, second.zero_threshold)
    return ExponentialBuckets(scale - shift, zero_count, threshold, positive, negative)


def pack(buckets: Buckets) -> bytes:
    """Return the form at rest; equal buckets have equal forms."""
    if isinstance(buckets, ExplicitBuckets):
        return b"E" + _pack_counts(buckets.counts)
    head = _EXPONENTIAL_HEAD.pack(
        buckets.scale, buckets.zero_count, buckets.zero_threshold, buckets.positive.offset, buckets.negative.offset
    )
    return b"X" + head + _pack_counts(buckets.positive.counts) + _pack_counts(buckets.negative.counts)


def unpack(raw: bytes) -> Buckets:
    """Read what `pack` wrote."""
    if raw[:1] == b"E":
        return ExplicitBuckets(_unpack_counts(raw, 1)[0])
    scale, zero_count, zero_threshold, positive, negative = _EXPONENTIAL_HEAD.unpack_from(raw, 1)
    above, end = _unpack_counts(raw, 1 + _EXPONENTIAL_HEAD.size)
    below, _ = _unpack_counts(raw, end)
    return ExponentialBuckets(scale, zero_count, zero_threshold, Side(positive, above), Side(negative, below))


def _bounded(count: int) -> int:
    return min(max(count, 0), MAX_COUNT)


def _shift_for(*sides: Side) -> int:
    """Return how far the scale must be lowered for all of these to fit into the buckets of one side."""
    filled = [side for side in sides if side.counts]
    if not filled:
        return 0
    first = min(side.offset for side in filled)
    last = max(side.offset + len(side.counts) - 1 for side in filled)
    shift = 0
    while (last >> shift) - (first >> shift) >= MAX_BUCKETS:
        shift += 1
    return shift


def _trimmed(side: Side) -> Side:
    if side.counts and side.counts[0] and side.counts[-1]:
        return side
    filled = [position for position, count in enumerate(side.counts) if count]
    if not filled:
        return Side()
    return Side(side.offset + filled[0], side.counts[filled[0] : filled[-1] + 1])


def _coarser(side: Side, shift: int) -> Side:
    """Return a side at a scale that is lower by `shift`: so many times, pairs of buckets become one."""
    if not shift or not side.counts:
        return side
    offset = side.offset >> shift
    counts = [0] * (((side.offset + len(side.counts) - 1) >> shift) - offset + 1)
    for index, count in enumerate(side.counts, start=side.offset):
        counts[(index >> shift) - offset] += count
    return Side(offset, tuple(map(_bounded, counts)))


def _joined(first: Side, second: Side, sign: int) -> Side:
    if not second.counts:
        return first
    if not first.counts:
        return second if sign > 0 else Side()
    offset = min(first.offset, second.offset)
    end = max(first.offset + len(first.counts), second.offset + len(second.counts))
    counts = [0] * (end - offset)
    for side, factor in ((first, 1), (second, sign)):
        for index, count in enumerate(side.counts, start=side.offset - offset):
            counts[index] += factor * count
    return Side(offset, tuple(map(_bounded, counts)))


def _pack_counts(counts: Sequence[int]) -> bytes:
    """Return counts in the narrowest of four widths that takes them all."""
    code = next(code for limit, code in _WIDTHS if max(counts, default=0) < limit)
    return _COUNTS_HEAD.pack(code.encode(), len(counts)) + struct.pack(f"<{len(counts)}{code}", *counts)


def _unpack_counts(raw: bytes, start: int) -> tuple[tuple[int, ...], int]:
    code, length = _COUNTS_HEAD.unpack_from(raw, start)
    layout = f"<{length}{code.decode()}"
    start += _COUNTS_HEAD.size
    return struct.unpack_from(layout, raw, start), start + struct.calcsize(layout)
