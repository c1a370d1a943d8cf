"""Whether a request is valid is judged as protobuf's generated classes judge it, in little memory."""

from __future__ import annotations

import subprocess
import sys

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from otlp_receiver.errors import MalformedError
from otlp_receiver.inspection import Inspection
from otlp_receiver.signals import LOGS, METRICS, ROUTES, TRACES, SignalRoute
from telemetry import Signal
from tests.support.otlp import resource, server_spans, trace_request
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
)

EVERY_KIND = {"text": "ü", "none": None, "list": [1, "a", b"\0", [True]], "map": {"a": {"b": 2.5}}, "bytes": b"\xff"}
METRIC_KINDS = [
    gauge(number_point(1, **EVERY_KIND)),
    histogram(histogram_point()),
    exponential_histogram(exponential_point()),
    summary(summary_point(0.5)),
]
BODIES = {
    Signal.TRACES: trace_request(server_spans(3, attributes=EVERY_KIND), resource(**EVERY_KIND)).SerializeToString(),
    Signal.METRICS: metric_request(METRIC_KINDS).SerializeToString(),
    Signal.LOGS: log_request([log_record(EVERY_KIND), log_record(None), log_record(b"\0")]).SerializeToString(),
}
COUNTS = {Signal.TRACES: 3, Signal.METRICS: 4, Signal.LOGS: 3}
INSPECTIONS = {route.signal: Inspection(route) for route in ROUTES}


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.signal)
def test_values_of_every_kind_are_valid(route: SignalRoute) -> None:
    """Attributes and bodies of all types that there are, empty and nested ones among them, make no difference."""
    assert INSPECTIONS[route.signal].count_valid(BODIES[route.signal]) == COUNTS[route.signal]


@settings(max_examples=600)
@given(st.sampled_from(ROUTES), st.data())
def test_a_damaged_request_is_valid_only_if_protobuf_says_so(route: SignalRoute, data: st.DataObject) -> None:
    """After any bytes were changed or cut off, the verdict is that of the generated class."""
    body = bytearray(BODIES[route.signal])
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    del body[data.draw(st.integers(len(body) // 2, len(body))) :]
    try:
        route.request_class.FromString(bytes(body))
        is_valid = True
    except DecodeError:
        is_valid = False
    try:
        INSPECTIONS[route.signal].sift(bytes(body))
        assert is_valid
    except MalformedError:
        assert not is_valid


# Where the parts are, as field numbers from the request down, and a part.
BOMBS = {
    "resources": (TRACES, (), b"\x0a\0"),
    "attributes of a span": (TRACES, (1, 2, 2), b"\x4a\0"),
    "links of a span": (TRACES, (1, 2, 2), b"\x6a\0"),
    "values of an array": (LOGS, (1, 2, 2, 5, 5), b"\x0a\0"),
    "exponential buckets": (METRICS, (1, 2, 2, 10, 1, 8, 2), b"\1"),
}

_SCRIPT = """
import resource, sys
from otlp_receiver.errors import TooLargeError
from tests.otlp_receiver.test_inspection import BOMBS, Inspection
from tests.support.wire import field
from otlp_receiver import pieces
pieces.MAX_FIELDS = 100_000
route, above, part = BOMBS[sys.argv[1]]
body = part * (16 * 1024 * 1024 // len(part))
for number in reversed(above):
    body = field(number, body)
inspection = Inspection(route)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    inspection.sift(body)
except TooLargeError:
    pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("bomb", BOMBS)
def test_millions_of_tiny_parts_take_no_more_memory_than_the_body(bomb: str) -> None:
    """16 MiB of eight million messages, half a gigabyte for the generated classes, take the room of a few bodies."""
    ran = subprocess.run([sys.executable, "-c", _SCRIPT, bomb], check=True, capture_output=True, timeout=60)
    assert int(ran.stdout) < 100 * 1024, "KiB"
