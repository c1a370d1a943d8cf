"""Metrics the slow and plain way, for checking the fast one: a list of what was observed, and loops over it.

Written from the rules in `docs/metrics.md`, not from the code, which it shares nothing with.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE,
    AGGREGATION_TEMPORALITY_DELTA,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    Sum,
)

from tests.support.otlp import key_values

BOUNDS = (1.0, 2.0, 5.0)
DELTA_KINDS = ("delta", "delta_histogram", "delta_exponential")
HISTOGRAM_KINDS = ("delta_histogram", "histogram", "delta_exponential", "exponential")
KINDS = ("gauge", "both_ways", "counter", "unstarted", "histogram", "exponential", *DELTA_KINDS)


@dataclass(frozen=True)
class Observed:
    """A data point. `value` is a reading, an increment or a total; `observations` are what a histogram counts."""

    kind: str
    series: int
    time_s: int
    start_s: int
    value: float = 0.0
    observations: tuple[float, ...] = ()

    def metric(self) -> Metric:
        """Return the point as a metric of its own, as a request may hold it."""
        times = {"time_unix_nano": self.time_s * 10**9, "start_time_unix_nano": self.start_s * 10**9}
        common: dict[str, Any] = {**times, "attributes": key_values({"series": self.series})}
        temporality: Any = (
            AGGREGATION_TEMPORALITY_DELTA if self.kind in DELTA_KINDS else AGGREGATION_TEMPORALITY_CUMULATIVE
        )
        if self.kind in HISTOGRAM_KINDS:
            common |= {"count": len(self.observations), "sum": sum(self.observations)}
            if "exponential" in self.kind:
                buckets = ExponentialHistogramDataPoint.Buckets(offset=-1, bucket_counts=self._exponential_counts())
                exponential = ExponentialHistogramDataPoint(**common, scale=0, positive=buckets)
                data = ExponentialHistogram(data_points=[exponential], aggregation_temporality=temporality)
                return Metric(name=self.kind, exponential_histogram=data)
            point = HistogramDataPoint(**common, bucket_counts=self._counts(), explicit_bounds=BOUNDS)
            return Metric(name=self.kind, histogram=Histogram(data_points=[point], aggregation_temporality=temporality))
        number = NumberDataPoint(**common, as_double=self.value)
        if self.kind == "gauge":
            return Metric(name=self.kind, gauge=Gauge(data_points=[number]))
        is_monotonic = self.kind in ("counter", "unstarted", "delta")
        data_of_sum = Sum(data_points=[number], aggregation_temporality=temporality, is_monotonic=is_monotonic)
        return Metric(name=self.kind, sum=data_of_sum)

    def _counts(self) -> list[int]:
        edges = [float("-inf"), *BOUNDS, float("inf")]
        return [sum(low < one <= high for one in self.observations) for low, high in pairwise(edges)]

    def _exponential_counts(self) -> list[int]:
        """Buckets (1/2, 1], (1, 2], (2, 4], (4, 8]."""
        return [sum(2.0**i < one <= 2.0 ** (i + 1) for one in self.observations) for i in range(-1, 3)]


class Reference:
    """Answers from all points by one pass over them; each may be there any number of times."""

    def __init__(self, points: Iterable[Observed], start_s: int, step_s: int) -> None:
        self._start_s, self._step_s = start_s, step_s
        self._series: defaultdict[tuple[str, int], list[Observed]] = defaultdict(list)
        for point in sorted(set(points), key=lambda point: point.time_s):
            self._series[point.kind, point.series].append(point)

    def readings(self, kind: str, aggregation: str) -> dict[tuple[int, int], float]:
        """Return a value of gauges by series and step."""
        make: Any = {
            "avg": lambda values: sum(values) / len(values),
            "min": min,
            "max": max,
            "last": lambda values: values[-1],
        }[aggregation]
        found: defaultdict[tuple[int, int], list[float]] = defaultdict(list)
        for series, points in self._of(kind):
            for point in points:
                found[series, self._step(point)].append(point.value)
        return {cell: make(values) for cell, values in found.items()}

    def increases(self, kind: str) -> dict[tuple[int, int], float]:
        """Return how much was added to a counter, or how many observations to a histogram, by series and step."""
        found: defaultdict[tuple[int, int], float] = defaultdict(float)
        for series, point, value, _ in self._grown(kind):
            found[series, self._step(point)] += value
        return dict(found)

    def observations(self, kind: str) -> dict[tuple[int, int], list[float]]:
        """Return what was observed, by series and step."""
        found: defaultdict[tuple[int, int], list[float]] = defaultdict(list)
        for series, point, _, observations in self._grown(kind):
            found[series, self._step(point)] += observations
        return dict(found)

    def _grown(self, kind: str) -> Iterable[tuple[int, Observed, float, list[float]]]:
        for series, points in self._of(kind):
            before: dict[int, Observed] = {}
            for point in points:
                known = before.get(point.start_s)
                value = point.value if kind not in HISTOGRAM_KINDS else len(point.observations)
                observations = list(point.observations)
                if kind == "unstarted" and (known is None or point.value < known.value):
                    # Nobody knows what was before the first one; and what is less than before began anew.
                    before[point.start_s] = point
                    if known is not None:
                        yield series, point, value, observations
                    continue
                if kind not in DELTA_KINDS and known is not None:
                    value -= known.value if kind not in HISTOGRAM_KINDS else len(known.observations)
                    observations = observations[len(known.observations) :]
                before[point.start_s] = point
                yield series, point, value, observations

    def _of(self, kind: str) -> list[tuple[int, Sequence[Observed]]]:
        return [(series, points) for (of, series), points in self._series.items() if of == kind]

    def _step(self, point: Observed) -> int:
        return (point.time_s - self._start_s) // self._step_s
