"""From one data point of OTLP to the state that stands for it, or to what is wrong with it.

Pure; the decoder calls one of these functions for each point, by the type of its metric. A point that cannot be made
sense of is set aside alone: `None` is returned for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Final

from processor.derivation import EARLIEST_UNIX_NANO
from telemetry.metric_buckets import (
    MAX_COUNT,
    Buckets,
    ExplicitBuckets,
    Side,
    exponential_buckets,
)
from telemetry.metric_series import MetricType, Temporality
from telemetry.metric_states import (
    UNKNOWN_SUM,
    Additions,
    Distribution,
    Readings,
    Running,
    Snapshot,
    Start,
    State,
    pack_histogram,
    pack_quantiles,
)
from telemetry.metric_sums import exact

MAX_BOUNDS: Final = 200
MAX_EXPONENTIAL_BUCKETS: Final = 4096
"""Of a point; SDKs make 160 at most unless told otherwise."""
MAX_QUANTILES: Final = 50
_MIN_SCALE, _MAX_SCALE = -11, 20
_MAX_INDEX: Final = 2**30

ValueOf = Callable[[Any, int], State | None]
"""Makes a state of a point and of when its totals began, in Unix milliseconds, 0 if they do not say."""


def value_function(metric_type: str, temporality: str, *, is_monotonic: bool) -> ValueOf:
    """Return what makes states of the points of such a metric."""
    match metric_type, temporality:
        case (MetricType.SUM, Temporality.DELTA):
            return _addition
        case (MetricType.SUM, Temporality.CUMULATIVE) if is_monotonic:
            return _running_sum
        case (MetricType.GAUGE, _) | (MetricType.SUM, _):
            return _reading
        case (MetricType.SUMMARY, _):
            return _running_summary
        case (_, Temporality.DELTA):
            return _distribution
    return _running_histogram


def bounds_of(point: Any) -> str:
    """Return the bounds of an explicit histogram's point as its series names them."""
    return ",".join(map(repr, point.explicit_bounds))


def start_of(point: Any) -> int:
    """Return when the totals of a point began, in Unix nanoseconds; 0 where it does not say or cannot be."""
    start_ns = int(point.start_time_unix_nano)
    return start_ns if EARLIEST_UNIX_NANO <= start_ns <= point.time_unix_nano else 0


def _reading(point: Any, _start_ms: int) -> State | None:
    value = _number(point)
    if value is None:
        return None
    return Readings(1, exact(value), value, value, point.time_unix_nano, value)


def _addition(point: Any, _start_ms: int) -> State | None:
    value = _number(point)
    if value is None:
        return None
    end_ns = point.time_unix_nano
    return Additions(1, exact(value), start_of(point) or end_ns, end_ns)


def _running_sum(point: Any, start_ms: int) -> State | None:
    value = _number(point)
    return None if value is None else _running(start_ms, Snapshot(point.time_unix_nano, value))


def _distribution(point: Any, _start_ms: int) -> State | None:
    buckets = _buckets(point)
    if buckets is None:
        return None
    total, end_ns = _optional(point, "sum"), point.time_unix_nano
    return Distribution(
        _count(point, buckets),
        None if total is None else exact(total),
        start_of(point) or end_ns,
        end_ns,
        *_extremes(point),
        buckets,
    )


def _running_histogram(point: Any, start_ms: int) -> State | None:
    buckets = _buckets(point)
    if buckets is None:
        return None
    shape = pack_histogram(*_extremes(point), buckets)
    return _running(start_ms, Snapshot(point.time_unix_nano, _sum_of(point), _count(point, buckets), shape))


def _running_summary(point: Any, start_ms: int) -> State | None:
    quantiles = (
        (of.quantile + 0.0, of.value + 0.0)
        for of in point.quantile_values
        if 0 <= of.quantile <= 1 and math.isfinite(of.value)
    )
    if len(point.quantile_values) > MAX_QUANTILES or point.count > MAX_COUNT:
        return None
    shape = pack_quantiles(quantiles)
    return _running(start_ms, Snapshot(point.time_unix_nano, _sum_of(point), point.count, shape))


def _running(start_ms: int, snapshot: Snapshot) -> Running:
    return Running((Start(start_ms, snapshot, snapshot, snapshot.value),))


def _number(point: Any) -> float | None:
    if point.HasField("as_int"):
        return float(point.as_int)
    value = float(point.as_double)
    # Minus zero equals zero, and must not differ from it in the order of values.
    return value + 0.0 if point.HasField("as_double") and math.isfinite(value) else None


def _optional(point: Any, field: str) -> float | None:
    value = float(getattr(point, field))
    return value + 0.0 if point.HasField(field) and math.isfinite(value) else None


def _extremes(point: Any) -> tuple[float, float]:
    low, high = _optional(point, "min"), _optional(point, "max")
    return math.inf if low is None else low, -math.inf if high is None else high


def _sum_of(point: Any) -> float:
    total = _optional(point, "sum")
    return UNKNOWN_SUM if total is None else total


def _buckets(point: Any) -> Buckets | None:
    buckets = _exponential(point) if hasattr(point, "scale") else _explicit(point)
    return None if buckets is None or max(buckets.observations, point.count) > MAX_COUNT else buckets


def _count(point: Any, buckets: Buckets) -> int:
    """Return how many values there were: by the buckets, where there are any."""
    return buckets.observations or int(point.count)


def _explicit(point: Any) -> Buckets | None:
    counts, bounds = point.bucket_counts, point.explicit_bounds
    if len(bounds) > MAX_BOUNDS or len(counts) != (len(bounds) + 1 if counts else len(bounds)):
        return None
    if not all(map(math.isfinite, bounds)) or not _is_increasing(bounds):
        return None
    return ExplicitBuckets(tuple(counts) or (point.count,))


def _is_increasing(bounds: Sequence[float]) -> bool:
    return all(low < high for low, high in pairwise(bounds))


def _exponential(point: Any) -> Buckets | None:
    sides = [point.positive, point.negative]
    if not _MIN_SCALE <= point.scale <= _MAX_SCALE or point.zero_count > MAX_COUNT:
        return None
    if any(len(side.bucket_counts) > MAX_EXPONENTIAL_BUCKETS or abs(side.offset) > _MAX_INDEX for side in sides):
        return None
    if not math.isfinite(point.zero_threshold) or sum(map(sum, (side.bucket_counts for side in sides))) > MAX_COUNT:
        return None
    positive, negative = (Side(side.offset, tuple(side.bucket_counts)) for side in sides)
    return exponential_buckets(point.scale, point.zero_count, abs(point.zero_threshold), positive, negative)
