"""Builders of OTLP trace requests with the generated classes, for tests of everything that reads them.

Ids are derived from a span's content and `index`, so the same call makes the same bytes in every process.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

END_NS = 1_760_000_000_000_000_000
"""The default end of a span: 2025-10-09T08:53:20Z in Unix nanoseconds, the first instant of its second."""

DEFAULT_SERVICE = "shop"


def any_value(value: object) -> AnyValue:
    """Return `value` (None, bool, int, float, str, bytes, list or dict) as an OTLP `AnyValue`."""
    if value is None:
        return AnyValue()
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, str):
        return AnyValue(string_value=value)
    if isinstance(value, bytes):
        return AnyValue(bytes_value=value)
    if isinstance(value, Mapping):
        return AnyValue(kvlist_value=KeyValueList(values=key_values(value)))
    if isinstance(value, Sequence):
        return AnyValue(array_value=ArrayValue(values=[any_value(one) for one in value]))
    raise TypeError(f"no AnyValue for {type(value).__name__}")


def key_values(attributes: Mapping[str, object]) -> list[KeyValue]:
    """Return attributes as OTLP key-value pairs."""
    return [KeyValue(key=key, value=any_value(value)) for key, value in attributes.items()]


def resource(service_name: str | None = DEFAULT_SERVICE, **attributes: object) -> Resource:
    """Return a resource; `service_name=None` leaves the name out. Dots in further keys are written as `__`.

    `resource("shop", service__version="2")` has `service.name` and `service.version`.
    """
    named = {} if service_name is None else {"service.name": service_name}
    return Resource(attributes=key_values(named | {key.replace("__", "."): one for key, one in attributes.items()}))


def span(
    name: str = "work",
    *,
    kind: Span.SpanKind.ValueType = Span.SPAN_KIND_INTERNAL,
    duration_ns: int = 50_000_000,
    end_ns: int = END_NS,
    attributes: Mapping[str, object] | None = None,
    is_error: bool = False,
    index: int = 0,
    trace_id: bytes | None = None,
    span_id: bytes | None = None,
    parent_span_id: bytes = b"",
) -> Span:
    """Return one span that ends at `end_ns` (Unix nanoseconds); another `index` gives it other ids."""
    identity = hashlib.blake2b(repr((name, kind, duration_ns, end_ns, attributes, index)).encode(), digest_size=24)
    return Span(
        trace_id=identity.digest()[:16] if trace_id is None else trace_id,
        span_id=identity.digest()[16:] if span_id is None else span_id,
        parent_span_id=parent_span_id,
        name=name,
        kind=kind,
        start_time_unix_nano=end_ns - duration_ns,
        end_time_unix_nano=end_ns,
        attributes=key_values(attributes or {}),
        status=Status(code=Status.STATUS_CODE_ERROR) if is_error else None,
    )


def server_span(
    name: str | None = None,
    route: str | None = "/items/{id}",
    status_code: int | None = 200,
    duration_ns: int = 50_000_000,
    end_ns: int = END_NS,
    *,
    method: str = "GET",
    is_error: bool | None = None,
    has_old_conventions: bool = False,
    attributes: Mapping[str, object] | None = None,
    index: int = 0,
    trace_id: bytes | None = None,
    span_id: bytes | None = None,
    parent_span_id: bytes = b"",
) -> Span:
    """Return a SERVER span as an HTTP instrumentation emits it.

    `route=None` or `status_code=None` leaves the attribute out; `is_error=None` sets the span's status to error for
    5xx, as the conventions ask of servers; `has_old_conventions` writes `http.method` and `http.status_code`.
    """
    method_key, status_key = (
        ("http.method", "http.status_code")
        if has_old_conventions
        else ("http.request.method", "http.response.status_code")
    )
    optional = {"http.route": route, status_key: status_code}
    present = {key: value for key, value in optional.items() if value is not None}
    return span(
        name if name is not None else " ".join([method, *([route] if route else [])]),
        kind=Span.SPAN_KIND_SERVER,
        duration_ns=duration_ns,
        end_ns=end_ns,
        attributes={method_key: method, **present, **(attributes or {})},
        is_error=is_error if is_error is not None else (status_code or 0) >= 500,
        index=index,
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=parent_span_id,
    )


def server_spans(count: int, **fields: object) -> list[Span]:
    """Return `count` server spans that differ in their ids only; `fields` as for `server_span`."""
    return [server_span(index=index, **fields) for index in range(count)]  # type: ignore[arg-type]


def trace_request(
    spans: Iterable[Span] = (),
    resource: Resource | None = None,
    *,
    scope: str = "tests",
) -> ExportTraceServiceRequest:
    """Return a request with one resource (the default: service `shop`), one scope and these spans."""
    return merged_request([(resource if resource is not None else _default_resource(), spans)], scope=scope)


def merged_request(
    groups: Iterable[tuple[Resource, Iterable[Span]]],
    *,
    scope: str = "tests",
) -> ExportTraceServiceRequest:
    """Return one request with a `ResourceSpans` for each pair of resource and spans."""
    return ExportTraceServiceRequest(
        resource_spans=[
            ResourceSpans(resource=of, scope_spans=[ScopeSpans(scope=InstrumentationScope(name=scope), spans=spans)])
            for of, spans in groups
        ]
    )


def _default_resource() -> Resource:
    return resource()
