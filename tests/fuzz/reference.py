"""What the receiver should make of a request, said plainly: parse with the generated class, look at every item.

Shares nothing with `otlp_receiver` but the tables that name classes. The harnesses compare with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, Final, NamedTuple

from google.protobuf.message import DecodeError

from otlp_receiver.signals import SignalRoute
from telemetry import Signal


class Judged(NamedTuple):
    """How many items of a request are valid and how many are not, and the request without the latter."""

    good: int
    bad: int
    kept: Any


def judged(route: SignalRoute, body: bytes) -> Judged | None:
    """Return what is in a request, or `None` if it is none."""
    try:
        request = route.request_class.FromString(body)
    except DecodeError:
        return None
    good = bad = 0
    for items, is_valid in _LISTS[route.signal](request):
        kept = [item for item in items if is_valid(item)]
        good += len(kept)
        bad += len(items) - len(kept)
        del items[:]
        items.extend(kept)
    return Judged(good, bad, request)


def are_same(route: SignalRoute, body: bytes, expected: Any) -> bool:
    """Tell whether `body` is this message. Compared as bytes, because NaN does not equal itself."""
    parsed = route.request_class.FromString(body)
    return bool(parsed.SerializeToString(deterministic=True) == expected.SerializeToString(deterministic=True))


_Lists = Iterator[tuple[Any, Callable[[Any], bool]]]


def _span_lists(request: Any) -> _Lists:
    for of_resource in request.resource_spans:
        for scope in of_resource.scope_spans:
            yield scope.spans, _is_valid_span


def _is_valid_span(span: Any) -> bool:
    is_trace_id_valid = len(span.trace_id) == 16 and span.trace_id != bytes(16)
    return is_trace_id_valid and len(span.span_id) == 8 and span.span_id != bytes(8)


def _record_lists(request: Any) -> _Lists:
    for of_resource in request.resource_logs:
        for scope in of_resource.scope_logs:
            yield scope.log_records, lambda _: True


def _point_lists(request: Any) -> _Lists:
    for of_resource in request.resource_metrics:
        for scope in of_resource.scope_metrics:
            for metric in scope.metrics:
                kind = metric.WhichOneof("data")
                if kind is not None:
                    data = getattr(metric, kind)
                    needs_temporality = kind in ("sum", "histogram", "exponential_histogram")
                    if needs_temporality and data.aggregation_temporality not in (1, 2):
                        yield data.data_points, lambda _: False
                    else:
                        yield data.data_points, _IS_VALID_POINT[kind]


def _is_valid_number(point: Any) -> bool:
    return point.HasField("as_int") or point.HasField("as_double") or bool(point.flags & 1)


def _is_valid_histogram(point: Any) -> bool:
    bounds, counts = point.explicit_bounds, point.bucket_counts
    if any(math.isnan(bound) for bound in bounds) or any(low >= high for low, high in pairwise(bounds)):
        return False
    return len(counts) == len(bounds) + 1 or (not counts and not bounds)


def _is_valid_summary(point: Any) -> bool:
    return all(of.quantile >= 0 and of.quantile <= 1 for of in point.quantile_values)


_IS_VALID_POINT: Final[dict[str, Callable[[Any], bool]]] = {
    "gauge": _is_valid_number,
    "sum": _is_valid_number,
    "histogram": _is_valid_histogram,
    "exponential_histogram": lambda _: True,
    "summary": _is_valid_summary,
}
_LISTS: Final[dict[Signal, Callable[[Any], _Lists]]] = {
    Signal.TRACES: _span_lists,
    Signal.METRICS: _point_lists,
    Signal.LOGS: _record_lists,
}
