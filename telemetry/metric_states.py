"""What a metric series was in a span of time: values that merge in any order and keep what questions need.

The processor makes one of each point, storage adds them up and keeps their bytes, query asks them. Which one stands
for a series follows from its type (`metric_points.py`):

- `Readings`: what was observed now and then (gauges, sums that go up and down since a start).
- `Additions` and `Distribution`: what came in between (delta sums, delta histograms).
- `Running`: totals since a start (cumulative sums that only grow, cumulative histograms, summaries). Their increase is
  taken from the first and the last of each start, when it is asked for.

Merging is associative and commutative: what depends on an order goes by time, and by value at the same time; sums are
exact (`metric_sums.py`).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable
from functools import reduce
from typing import Final, NamedTuple

from telemetry.metric_buckets import MAX_COUNT, Buckets, added, pack, unpack
from telemetry.metric_sums import pack_sum, unpack_sum

MAX_STARTS: Final = 32
"""How many starts of a running total are kept in one span of time, the latest: no honest process restarts oftener."""

_READINGS: Final = struct.Struct("<cqddqd")
_ADDITIONS: Final = struct.Struct("<cqqq")
_DISTRIBUTION: Final = struct.Struct("<cqqqdd?")
_RUNNING: Final = struct.Struct("<cB")
_START: Final = struct.Struct("<qd?")
_SNAPSHOT: Final = struct.Struct("<qdqH")
_ONE_TOTAL: Final = struct.Struct(_RUNNING.format + _START.format[1:] + _SNAPSHOT.format[1:])
_QUANTILE: Final = struct.Struct("<dd")
_EXTREMES: Final = struct.Struct("<dd")

_ONE_START: Final = _RUNNING.pack(b"t", 1)

UNKNOWN_SUM: Final = -math.inf
"""The value of a histogram or a summary that names no sum."""


class Readings(NamedTuple):
    """`points` values, their exact sum, their extremes, and the latest."""

    points: int
    total: int
    low: float
    high: float
    last_ns: int
    last: float

    def to_bytes(self) -> bytes:
        points, total, low, high, last_ns, last = self
        return _READINGS.pack(b"r", points, low, high, last_ns, last) + pack_sum(total)


class Additions(NamedTuple):
    """The exact sum of `points` points; they speak of the time from `begin_ns` (as far as they say) to `end_ns`."""

    points: int
    total: int
    begin_ns: int
    end_ns: int

    def to_bytes(self) -> bytes:
        return _ADDITIONS.pack(b"a", self.points, self.begin_ns, self.end_ns) + pack_sum(self.total)


class Distribution(NamedTuple):
    """Observations between `begin_ns` and `end_ns`. `total` is `None` unless all points named their sum.

    `low` is infinite and `high` minus infinite where no point named them.
    """

    observations: int
    total: int | None
    begin_ns: int
    end_ns: int
    low: float
    high: float
    buckets: Buckets

    def to_bytes(self) -> bytes:
        observations, total, begin_ns, end_ns, low, high, buckets = self
        head = _DISTRIBUTION.pack(b"d", observations, begin_ns, end_ns, low, high, total is not None)
        return head + pack_sum(total or 0) + pack(buckets)


class Snapshot(NamedTuple):
    """A total as it was at `time_ns`: of a sum its `value`; of a histogram or a summary sum, number and `shape`.

    `shape` is the packed histogram or quantiles, empty for sums; a sum that is not known is `UNKNOWN_SUM`.
    """

    time_ns: int
    value: float
    observations: int = 0
    shape: bytes = b""

    def to_bytes(self) -> bytes:
        return _SNAPSHOT.pack(self.time_ns, self.value, self.observations, len(self.shape)) + self.shape


class Start(NamedTuple):
    """The first and the last that is known of the totals since `start_ms` (Unix), 0 if they do not say since when.

    `peak` is the largest value between them: above the last one, it tells of a reset that named no new start.
    """

    start_ms: int
    first: Snapshot
    last: Snapshot
    peak: float


class Running(NamedTuple):
    """Totals, by their starts in time order; `MAX_STARTS` at most.

    Rolled up, a start is there once for each stretch in which its total only grew (`metric_stretches.py`).
    """

    starts: tuple[Start, ...]

    def to_bytes(self) -> bytes:
        parts = [_RUNNING.pack(b"t", len(self.starts))]
        for start_ms, first, last, peak in self.starts:
            parts += (_START.pack(start_ms, peak, first != last), last.to_bytes())
            if first != last:
                parts.append(first.to_bytes())
        return b"".join(parts)


def pack_quantiles(quantiles: Iterable[tuple[float, float]]) -> bytes:
    """Return quantiles and their values as the shape of a summary; equal ones have equal shapes."""
    return b"".join(_QUANTILE.pack(*pair) for pair in sorted(set(quantiles)))


def quantiles_from(shape: bytes) -> list[tuple[float, float]]:
    """Read what `pack_quantiles` wrote."""
    return list(_QUANTILE.iter_unpack(shape))


def pack_histogram(low: float, high: float, buckets: Buckets) -> bytes:
    """Return the extremes since the start (infinite if not known, as in `Distribution`) and buckets as one shape."""
    return _EXTREMES.pack(low, high) + pack(buckets)


def histogram_from(shape: bytes) -> tuple[float, float, Buckets]:
    """Read what `pack_histogram` wrote."""
    return *_EXTREMES.unpack_from(shape), unpack(shape[_EXTREMES.size :])


State = Readings | Additions | Distribution | Running


def merge_states(states: Iterable[State]) -> State:
    """Return what stands for all of them; there is at least one, and all are of one kind."""
    return reduce(_merged, states)


def state_from_bytes(raw: bytes) -> State:
    """Read what a state's `to_bytes` wrote."""
    match raw[:1]:
        case b"r":
            _, count, low, high, last_ns, last = _READINGS.unpack_from(raw)
            return Readings(count, unpack_sum(raw, _READINGS.size)[0], low, high, last_ns, last)
        case b"a":
            _, count, begin_ns, end_ns = _ADDITIONS.unpack_from(raw)
            return Additions(count, unpack_sum(raw, _ADDITIONS.size)[0], begin_ns, end_ns)
        case b"d":
            _, count, begin_ns, end_ns, low, high, has_total = _DISTRIBUTION.unpack_from(raw)
            total, end = unpack_sum(raw, _DISTRIBUTION.size)
            return Distribution(count, total if has_total else None, begin_ns, end_ns, low, high, unpack(raw[end:]))
        case b"t":
            return _running_from(raw)
    raise ValueError(f"there is no metric state that begins with {raw[:1]!r}")


class PlainTotal(NamedTuple):
    """The first and the last that a `Running` with one start knows of a sum, and its largest value."""

    start_ms: int
    first_ns: int
    first: float
    last_ns: int
    last: float
    peak: float


def plain_total_from(raw: bytes) -> PlainTotal | None:
    """Read a running sum of one start in one go, a fifth of the time of `state_from_bytes`; `None` of all else."""
    if raw[:2] != _ONE_START:
        return None
    _, _, start_ms, peak, has_first, last_ns, last, _, length = _ONE_TOTAL.unpack_from(raw)
    if length:
        return None
    if not has_first:
        return PlainTotal(start_ms, last_ns, last, last_ns, last, peak)
    first_ns, first, _, length = _SNAPSHOT.unpack_from(raw, _ONE_TOTAL.size)
    return None if length else PlainTotal(start_ms, first_ns, first, last_ns, last, peak)


def plain_reading_from(raw: bytes) -> tuple[int, float] | None:
    """Read the time and the value of `Readings` that are a single one; `None` of all else."""
    if raw[:1] != b"r":
        return None
    _, count, _, _, last_ns, last = _READINGS.unpack_from(raw)
    return (last_ns, last) if count == 1 else None


def _running_from(raw: bytes) -> Running:
    _, count = _RUNNING.unpack_from(raw)
    position = _RUNNING.size
    starts = []
    for _ in range(count):
        start_ms, peak, has_first = _START.unpack_from(raw, position)
        last, position = _snapshot_from(raw, position + _START.size)
        first = last
        if has_first:
            first, position = _snapshot_from(raw, position)
        starts.append(Start(start_ms, first, last, peak))
    return Running(tuple(starts))


def _snapshot_from(raw: bytes, position: int) -> tuple[Snapshot, int]:
    time_ns, value, count, length = _SNAPSHOT.unpack_from(raw, position)
    position += _SNAPSHOT.size
    return Snapshot(time_ns, value, count, raw[position : position + length]), position + length


def _merged(one: State, other: State) -> State:
    match one, other:
        case Readings(), Readings():
            last_ns, last = max((one.last_ns, one.last), (other.last_ns, other.last))
            return Readings(
                one.points + other.points,
                one.total + other.total,
                min(one.low, other.low),
                max(one.high, other.high),
                last_ns,
                last,
            )
        case Additions(), Additions():
            return Additions(
                one.points + other.points,
                one.total + other.total,
                min(one.begin_ns, other.begin_ns),
                max(one.end_ns, other.end_ns),
            )
        case Distribution(), Distribution():
            return Distribution(
                min(one.observations + other.observations, MAX_COUNT),
                None if one.total is None or other.total is None else one.total + other.total,
                min(one.begin_ns, other.begin_ns),
                max(one.end_ns, other.end_ns),
                min(one.low, other.low),
                max(one.high, other.high),
                added(one.buckets, other.buckets),
            )
        case Running(), Running():
            return _merged_running(one, other)
    raise ValueError(f"a {type(one).__name__} and a {type(other).__name__} are not of one series")


def _merged_running(one: Running, other: Running) -> Running:
    if len(one.starts) == 1 == len(other.starts) and one.starts[0].start_ms == other.starts[0].start_ms:
        return Running((merge_starts(one.starts[0], other.starts[0]),))
    by_start: dict[int, Start] = {}
    for start in (*one.starts, *other.starts):
        known = by_start.get(start.start_ms)
        by_start[start.start_ms] = start if known is None else merge_starts(known, start)
    return Running(tuple([by_start[start_ms] for start_ms in sorted(by_start)[-MAX_STARTS:]]))


def merge_starts(one: Start, other: Start) -> Start:
    """Return what stands for two parts of what is known since the same start."""
    return Start(one.start_ms, min(one.first, other.first), max(one.last, other.last), max(one.peak, other.peak))
