"""What was seen of a model server that ran for a moment: the requests that it was sent, and the spans that it sent.

Plain values between `command`, which gathers them, and `diagnosis` and `report`, which read them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan

Attributes = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SeenSpan:
    """A span as it arrived; times in seconds since 1970."""

    kind: str
    name: str
    trace_id: str
    attributes: Attributes
    resource: Attributes
    scope: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class SentRequest:
    """A request and its answer; `trace_id` is that of the context sent with it, None if there was none."""

    method: str
    path: str
    trace_id: str | None
    status: int
    sent_s: float
    answered_s: float
    is_last: bool = False
    """Sent a moment before the server was told to stop."""


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything that the diagnosis is made from."""

    spans: tuple[SeenSpan, ...]
    requests: tuple[SentRequest, ...]
    environ: Mapping[str, str]
    processes: int = 1
    has_our_distro: bool = True
    """Whether modelwatch-instrumentation is installed beside the command."""
    is_instrumented: bool = True
    """Whether the command ran under `opentelemetry-instrument`."""

    @property
    def server_spans(self) -> list[SeenSpan]:
        """The SERVER spans."""
        return [span for span in self.spans if span.kind == "SERVER"]

    @property
    def resource(self) -> Attributes:
        """The resource of the first span."""
        return self.spans[0].resource if self.spans else {}


def spans_of(body: bytes) -> Iterator[SeenSpan]:
    """Yield the spans of an OTLP export request."""
    for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        resource = _attributes(of_resource.resource.attributes)
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                yield SeenSpan(
                    kind=OtlpSpan.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
                    name=span.name,
                    trace_id=span.trace_id.hex(),
                    attributes=_attributes(span.attributes),
                    resource=resource,
                    scope=of_scope.scope.name,
                    start_s=span.start_time_unix_nano / 1e9,
                    end_s=span.end_time_unix_nano / 1e9,
                )


def _attributes(pairs: Any) -> dict[str, Any]:
    found = {}
    for pair in pairs:
        kind = pair.value.WhichOneof("value")
        if kind in ("string_value", "int_value", "double_value", "bool_value"):
            found[pair.key] = getattr(pair.value, kind)
    return found
