"""Which data points are invalid by themselves, by the comments of `metrics.proto`.

Applied by the inspection of metric requests. A sum, histogram or exponential histogram without a temporality makes all
of its points invalid. What the comments call required but a reader can do without is not asked for: the time of a
point, or that its count is the sum of its buckets. A point that says that no value was recorded is a valid gap.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any, Final

from otlp_receiver.rules import Sifted, take_out
from otlp_receiver.schemas import BYTES, DOUBLE, FIXED64, INT32, UINT32, Description, described

_NO_RECORDED_VALUE: Final = 1  # of `DataPointFlags`
_TEMPORALITIES: Final = (1, 2)  # delta, cumulative; enums are open, but no reader could add up any other
_KINDS_WITH_TEMPORALITY: Final = ("sum", "histogram", "exponential_histogram")

_METRICS: Final[Description] = {
    "ScopeMetrics": ((2, "metrics", "Metric", "many"),),
    "Metric": (
        (5, "gauge", "Numbers", "data"),
        (7, "sum", "Numbers", "data"),
        (9, "histogram", "Histogram", "data"),
        (10, "exponential_histogram", "ExponentialHistogram", "data"),
        (11, "summary", "Summary", "data"),
    ),
    # Gauge and Sum: the same but for the temporality, which a gauge does not have.
    "Numbers": ((1, "data_points", "NumberDataPoint", "many"), (2, "aggregation_temporality", INT32, "one")),
    "NumberDataPoint": (
        (4, "as_double", DOUBLE, "value"),
        (6, "as_int", FIXED64, "value"),
        (8, "flags", UINT32, "one"),
    ),
    "Histogram": ((1, "data_points", "HistogramDataPoint", "many"), (2, "aggregation_temporality", INT32, "one")),
    "HistogramDataPoint": ((6, "bucket_counts", FIXED64, "many"), (7, "explicit_bounds", DOUBLE, "many")),
    "ExponentialHistogram": ((1, "data_points", BYTES, "many"), (2, "aggregation_temporality", INT32, "one")),
    "Summary": ((1, "data_points", "SummaryDataPoint", "many"),),
    "SummaryDataPoint": ((6, "quantile_values", "ValueAtQuantile", "many"),),
    "ValueAtQuantile": ((1, "quantile", DOUBLE, "one"),),
}
_SIFTED: Final[Description] = _METRICS | {
    "Request": ((1, "resources", "ResourceMetrics", "many"),),
    "ResourceMetrics": ((2, "scopes", "ScopeMetrics", "many"),),
}
# Resources and scopes merge, so that all metrics of a request are in one list.
_COUNTED: Final[Description] = _METRICS | {
    "Request": ((1, "resources", "ResourceMetrics", "one"),),
    "ResourceMetrics": ((2, "scopes", "ScopeMetrics", "one"),),
}

# The data of a gauge or a sum as protobuf writes it once only what is declared above is left: points of 9 bytes that
# hold a value and no flag, then the temporality.
_VALID_NUMBERS: Final = rb"(?:\x0a\x09[\x21\x31].{8})*+(?:\x10.)?"
_MAX_LOOKED_AT: Final = 1000
"""Metrics, points and quantiles that are looked at one by one: more are no longer a matter of a millisecond."""

_TEMPORALITY_FAULT: Final = "the aggregation_temporality of their metric is neither delta nor cumulative"
_VALUE_FAULT: Final = "they hold no value"
_BUCKETS_FAULT: Final = "their bucket_counts are not one more than their explicit_bounds"
_BOUNDS_FAULT: Final = "their explicit_bounds do not increase"
_QUANTILE_FAULT: Final = "a quantile of theirs is not between 0 and 1"


class MetricRules:
    """`Rules` of metrics."""

    def __init__(self) -> None:
        self.sifted_class = described(_SIFTED)
        self._counted_class = described(_COUNTED)
        self._are_valid_numbers = re.compile(_VALID_NUMBERS, re.DOTALL).fullmatch

    def count_valid(self, body: bytes) -> int | None:
        request = self._counted_class.FromString(body)
        request.DiscardUnknownFields()
        metrics = request.resources.scopes.metrics
        room = _MAX_LOOKED_AT - len(metrics)
        if room < 0:
            return None
        count = 0
        for metric in metrics:
            kind = metric.WhichOneof("data")
            if kind is None:
                continue
            data = getattr(metric, kind)
            room -= _looked_at(kind, data)
            if room < 0 or not self._is_valid(kind, data):
                return None
            count += len(data.data_points)
        return count

    def sift(self, request: Any) -> Sifted:
        sifted = Sifted()
        for resource in request.resources:
            for scope in resource.scopes:
                for metric in scope.metrics:
                    kind = metric.WhichOneof("data")
                    if kind is not None:
                        data = getattr(metric, kind)
                        sifted.add(take_out(data.data_points, _faults(kind, data)))
        return sifted

    def _is_valid(self, kind: str, data: Any) -> bool:
        if kind in ("gauge", "sum") and not self._are_valid_numbers(data.SerializeToString()):
            return False
        if not _has_temporality(kind, data):
            return not data.data_points
        is_point_valid = kind in ("gauge", "sum", "exponential_histogram")
        return is_point_valid or not any(map(_POINT_FAULTS[kind], data.data_points))


def _looked_at(kind: str, data: Any) -> int:
    """Return how much of the data is looked at one by one: at least so much, if it is too much anyway."""
    if kind not in ("histogram", "summary"):
        return 0
    points = data.data_points
    if kind == "histogram" or len(points) > _MAX_LOOKED_AT:
        return len(points)
    return len(points) + sum(len(point.quantile_values) for point in points)


def _faults(kind: str, data: Any) -> list[str | None]:
    if not _has_temporality(kind, data):
        return [_TEMPORALITY_FAULT] * len(data.data_points)
    return list(map(_POINT_FAULTS[kind], data.data_points))


def _has_temporality(kind: str, data: Any) -> bool:
    return kind not in _KINDS_WITH_TEMPORALITY or data.aggregation_temporality in _TEMPORALITIES


def _number_fault(point: Any) -> str | None:
    has_value = point.WhichOneof("value") is not None or point.flags & _NO_RECORDED_VALUE
    return None if has_value else _VALUE_FAULT


def _histogram_fault(point: Any) -> str | None:
    counts, bounds = len(point.bucket_counts), point.explicit_bounds
    if counts != (len(bounds) + 1 if counts else len(bounds)):
        return _BUCKETS_FAULT
    # NaN is not less than anything; alone it meets nothing that it could be compared with.
    is_increasing = all(low < high for low, high in pairwise(bounds)) and not any(map(math.isnan, bounds[:1]))
    return None if is_increasing else _BOUNDS_FAULT


def _summary_fault(point: Any) -> str | None:
    are_valid = all(0 <= of.quantile <= 1 for of in point.quantile_values)
    return None if are_valid else _QUANTILE_FAULT


_POINT_FAULTS: Final[dict[str, Callable[[Any], str | None]]] = {
    "gauge": _number_fault,
    "sum": _number_fault,
    "histogram": _histogram_fault,
    "exponential_histogram": lambda _: None,
    "summary": _summary_fault,
}
