"""From kept spans to what people read: ids as text, attributes as plain values, spans below their parents.

Pure; used by `query/traces/component.py`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from query.traces.answers import AttributeValue, KeptRequest, SpanEvent, SpanLink, TraceSpan
from telemetry import KeptSpan
from telemetry.kept_span import unpack_detail


def request_of(span: KeptSpan) -> KeptRequest:
    """Return a kept span as it is listed."""
    return KeptRequest(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        service_name=span.service_name,
        service_version=span.service_version,
        service_instance_id=span.service_instance_id,
        deployment_environment=span.deployment_environment,
        model_name=span.model_name,
        model_version=span.model_version,
        span_kind=span.span_kind,
        name=span.name,
        http_method=span.http_method,
        http_route=span.http_route,
        peer=span.peer,
        operation=span.operation,
        http_status_code=span.http_status_code or None,
        is_error=bool(span.is_error),
        start_ns=span.end_ns - span.duration_ns,
        duration_ns=span.duration_ns,
        kept_as=span.kept_as,
    )


def spans_in_order(spans: Sequence[KeptSpan]) -> list[TraceSpan]:
    """Return spans below their parents; one whose parent is not kept, or is below itself, stands at the top."""
    by_id = {span.span_id: span for span in spans}
    children: defaultdict[bytes, list[KeptSpan]] = defaultdict(list)
    tops: list[KeptSpan] = []
    for span in by_id.values():
        has_parent = span.parent_span_id in by_id and span.parent_span_id != span.span_id
        (children[span.parent_span_id] if has_parent else tops).append(span)
    placed: dict[bytes, int] = {}
    # Those of a circle have parents and are reached from no top: they come last, from the earliest of them on.
    for top in (*tops, *by_id.values()):
        waiting = [(top, 0)]
        while waiting:
            span, depth = waiting.pop()
            if span.span_id not in placed:
                placed[span.span_id] = depth
                waiting += [(child, depth + 1) for child in reversed(children[span.span_id])]
    return [_trace_span(by_id[one], depth, by_id.keys()) for one, depth in placed.items()]


def _trace_span(span: KeptSpan, depth: int, known: Iterable[bytes]) -> TraceSpan:
    try:
        detail: Any = Span.FromString(unpack_detail(span.detail))
    except DecodeError:
        detail = Span()
    return TraceSpan(
        request=request_of(span),
        parent_span_id=span.parent_span_id.hex(),
        depth=depth,
        is_parent_missing=bool(span.parent_span_id) and span.parent_span_id not in known,
        status_message=detail.status.message,
        attributes=_attributes(detail.attributes),
        events=[SpanEvent(one.name, one.time_unix_nano, _attributes(one.attributes)) for one in detail.events],
        links=[SpanLink(one.trace_id.hex(), one.span_id.hex(), _attributes(one.attributes)) for one in detail.links],
        dropped_count=detail.dropped_attributes_count + detail.dropped_events_count + detail.dropped_links_count,
    )


def _attributes(pairs: Any) -> dict[str, AttributeValue]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> AttributeValue:
    kind = value.WhichOneof("value")
    match kind:
        case None:
            return None
        case "array_value":
            return [_value(one) for one in value.array_value.values]
        case "kvlist_value":
            return _attributes(value.kvlist_value.values)
        case "bytes_value":
            return value.bytes_value.hex()
        case "double_value":
            # JSON has no word for these.
            number = value.double_value
            return number if number - number == 0 else str(number)
    plain: AttributeValue = getattr(value, kind)
    return plain
