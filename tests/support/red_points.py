"""Builders of RED points, and a plain reference for what must come of adding them up."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable

from telemetry import ExponentialHistogram, RedPoint, SeriesKey

START_S = 1_700_000_000

Totals = dict[tuple[SeriesKey, int], tuple[int, int, int, Counter[int]]]
"""By series and bucket: calls, errors, sum of durations in nanoseconds, and the histogram's counts by bucket."""


def red_point(
    service: str = "shop", start_s: int = START_S, calls: int = 1, errors: int = 0, duration_ms: int = 10, **fields: str
) -> RedPoint:
    """Return a point of `calls` requests that took `duration_ms` each; `fields` are those of `SeriesKey`."""
    durations = ExponentialHistogram.of([duration_ms * 1_000_000] * calls)
    return RedPoint(SeriesKey(service, **fields), start_s, calls, errors, durations)


def random_points(seed: int, count: int, *, series: int = 5, seconds: int = 30) -> list[RedPoint]:
    """Return `count` points over few series and seconds, so that many of them meet; equal seeds give equal points."""
    dice = random.Random(seed)
    return [
        RedPoint(
            SeriesKey(f"service-{dice.randrange(series)}", http_route="/items/{id}"),
            START_S + dice.randrange(seconds),
            calls := dice.randint(1, 5),
            dice.randint(0, calls),
            ExponentialHistogram.of([dice.randint(1, 10**10) for _ in range(calls)]),
        )
        for _ in range(count)
    ]


def totals_of(points: Iterable[RedPoint], width_s: int = 1) -> Totals:
    """Add points up the slow, plain way, into buckets of `width_s` seconds."""
    totals: Totals = {}
    for point in points:
        key = (point.series, point.start_s // width_s * width_s)
        calls, errors, sum_ns, buckets = totals.get(key, (0, 0, 0, Counter()))
        totals[key] = (
            calls + point.calls,
            errors + point.errors,
            sum_ns + point.durations.sum_ns,
            buckets + Counter(point.durations.bucket_counts()),
        )
    return totals
