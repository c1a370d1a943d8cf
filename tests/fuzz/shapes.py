"""Valid requests to begin from: what SDKs send, and requests with every field that the generated classes know.

Seeds of the coverage-guided harnesses, and what the property tests of both ports damage.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from random import Random
from typing import Final

from google.protobuf.message import Message

from otlp_receiver.signals import ROUTES, SignalRoute
from telemetry import Signal
from tests.support.otlp import merged_request, resource, server_span, server_spans, trace_request
from tests.support.otlp_json import fill, otlp_json
from tests.support.otlp_metrics import (
    exponential_histogram,
    exponential_point,
    gauge,
    histogram,
    histogram_point,
    log_record,
    log_request,
    metric_request,
    number_point,
    summary,
    summary_point,
    total,
)

_EVERY_KIND: Final = {"text": "ü", "none": None, "list": [1, "a", b"\0"], "map": {"a": {"b": 2.5}}, "bytes": b"\xff"}
_FILLED: Final = 6
_LARGEST_BYTES: Final = 3000


@cache
def requests_of(route: SignalRoute) -> tuple[Message, ...]:
    """Return valid requests of a signal, none of them large; the first is an ordinary one."""
    return (*_ORDINARY[route.signal](), *_filled(route))


def bodies_of(route: SignalRoute) -> list[bytes]:
    """Return the same as protobuf."""
    return [request.SerializeToString() for request in requests_of(route)]


def texts_of(route: SignalRoute) -> list[bytes]:
    """Return the same as OTLP/JSON."""
    return [json.dumps(otlp_json(request)).encode() for request in requests_of(route)]


def names() -> list[str]:
    """Return the names that OTLP/JSON knows, in the order of the alphabet."""
    found: set[str] = set()
    for route in ROUTES:
        for request in requests_of(route):
            _note_names(otlp_json(request), found)
    return sorted(found)


def _note_names(value: object, found: set[str]) -> None:
    if isinstance(value, dict):
        found.update(value)
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            _note_names(one, found)


def _traces() -> Iterator[Message]:
    yield trace_request(server_spans(3, attributes=_EVERY_KIND), resource(**_EVERY_KIND))
    yield trace_request([server_span(index=0), server_span(index=1, span_id=b""), server_span(trace_id=bytes(16))])
    yield merged_request([(resource(f"service-{at}"), server_spans(at)) for at in range(4)])


def _metrics() -> Iterator[Message]:
    points = number_point(1, **_EVERY_KIND), number_point(2.5, index=1), number_point(None), number_point(None, flags=1)
    yield metric_request(
        [
            gauge(*points),
            total(*points),
            total(*points, temporality=0),
            histogram(histogram_point(), histogram_point([], []), histogram_point([1], [1.0])),
            exponential_histogram(exponential_point()),
            summary(summary_point(-0.0, 0.5, 1.0), summary_point(1.5)),
        ]
    )


def _logs() -> Iterator[Message]:
    yield log_request([log_record("text"), log_record(_EVERY_KIND, attributes=_EVERY_KIND), log_record(None)])


_ORDINARY: Final = {Signal.TRACES: _traces, Signal.METRICS: _metrics, Signal.LOGS: _logs}


def _filled(route: SignalRoute) -> Iterator[Message]:
    count = seed = 0
    while count < _FILLED:
        seed += 1
        request: Message = route.request_class()
        fill(request, Random(seed), depth=7)
        if request.ByteSize() <= _LARGEST_BYTES:
            count += 1
            yield request
