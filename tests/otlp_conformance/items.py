"""Spans and data points that are invalid by themselves, named for the reason, and requests that mix them in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE,
    Histogram,
    HistogramDataPoint,
    Metric,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.otlp_conformance.samples import ITEM_KEY, TRACES, Kind, gauge_request, metrics_request, span, spans_request
from tests.otlp_conformance.samples import data_point as number_point
from tests.support.otlp import END_NS, key_values

_BAD_TRACE_IDS: Final = {"empty": b"", "short": b"\x01" * 15, "long": b"\x01" * 17, "zeros": bytes(16)}
_BAD_SPAN_IDS: Final = {"empty": b"", "short": b"\x01" * 7, "long": b"\x01" * 9, "zeros": bytes(8)}


def _with_id(name: str, field: str, value: bytes) -> Span:
    made = span(name)
    setattr(made, field, value)
    return made


INVALID_SPANS: Final = [
    *(_with_id(f"trace id {how}", "trace_id", value) for how, value in _BAD_TRACE_IDS.items()),
    *(_with_id(f"span id {how}", "span_id", value) for how, value in _BAD_SPAN_IDS.items()),
]


def histogram_point(
    name: str, bounds: Sequence[float] = (1.0, 5.0), counts: Sequence[int] = (1, 2, 3)
) -> HistogramDataPoint:
    """Return a point that is valid with the default arguments."""
    return HistogramDataPoint(
        attributes=key_values({ITEM_KEY: name}),
        time_unix_nano=END_NS,
        count=sum(counts),
        sum=10.0,
        explicit_bounds=bounds,
        bucket_counts=counts,
    )


INVALID_POINTS: Final = [
    histogram_point("too few buckets", counts=(1, 2)),
    histogram_point("too many buckets", counts=(1, 2, 3, 4)),
    histogram_point("falling bounds", bounds=(5.0, 1.0)),
    histogram_point("equal bounds", bounds=(1.0, 1.0)),
]


def histogram(name: str, points: Sequence[HistogramDataPoint]) -> Metric:
    temporality = AGGREGATION_TEMPORALITY_CUMULATIVE
    return Metric(name=name, histogram=Histogram(data_points=points, aggregation_temporality=temporality))


def half_invalid(kind: Kind) -> tuple[Any, list[str]]:
    """Return a request in which each invalid item has valid neighbours, and the names of these."""
    if kind is TRACES:
        spans = [one for at, bad in enumerate(INVALID_SPANS) for one in (span(f"good {at}"), bad)]
        return spans_request(spans), [f"good {at}" for at in range(len(INVALID_SPANS))]
    points = [one for at, bad in enumerate(INVALID_POINTS) for one in (histogram_point(f"good {at}"), bad)]
    request = metrics_request([histogram("latency", points)])
    request.MergeFrom(gauge_request([number_point("other metric")]))
    return request, [*(f"good {at}" for at in range(len(INVALID_POINTS))), "other metric"]
