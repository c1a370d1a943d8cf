"""What the receiver knows of each signal: where it is sent to, and how its items are counted.

Both servers route by this table; the intake counts by it. Serving another signal is another entry.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otlp_receiver.errors import MalformedError
from telemetry import Signal


@dataclass(frozen=True, slots=True)
class SignalRoute:
    """A signal that is served. `count_items` raises `MalformedError` for bytes that are not its request."""

    signal: Signal
    http_path: str
    grpc_method: str
    count_items: Callable[[bytes], int]


def count_spans(body: bytes) -> int:
    """Parse an `ExportTraceServiceRequest` and return its number of spans.

    The generated class checks everything that protobuf can say of bytes, the UTF-8 of all strings included.
    """
    try:
        request = ExportTraceServiceRequest.FromString(body)
    except DecodeError as error:
        raise MalformedError(f"the body is not a valid ExportTraceServiceRequest: {error}") from error
    return sum(len(scope.spans) for resource in request.resource_spans for scope in resource.scope_spans)


TRACES: Final = SignalRoute(
    Signal.TRACES, "/v1/traces", "/opentelemetry.proto.collector.trace.v1.TraceService/Export", count_spans
)

ROUTES: Final = (TRACES,)
