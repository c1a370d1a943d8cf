"""From answers about traces to JSON: plain functions to plain dicts that fit `api/trace_models.py`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from api.parameters import rfc_3339
from query import KeptCount, KeptRequest, TraceAnswer, TracesAnswer, TraceSpan

Json = dict[str, Any]
_NS_PER_S: Final = 1_000_000_000


def traces_document(answer: TracesAnswer) -> Json:
    """Return `trace_models.Traces`."""
    return {
        "start": rfc_3339(answer.start_s),
        "end": rfc_3339(answer.end_s),
        "items": [_request(item) for item in answer.items],
        "next_cursor": answer.next_cursor,
        "is_cut_short": answer.is_cut_short,
        "count": None if answer.count is None else _count(answer.count),
        "kept_since": None if answer.kept_since_s is None else rfc_3339(answer.kept_since_s),
    }


def trace_document(answer: TraceAnswer) -> Json:
    """Return `trace_models.Trace`."""
    return {
        "trace_id": answer.trace_id,
        "start": _time(answer.start_ns),
        "duration_s": (answer.end_ns - answer.start_ns) / _NS_PER_S,
        "kept": answer.kept,
        "has_gaps": answer.has_gaps,
        "missing_parents": list(answer.missing_parents),
        "spans": [_span(span) for span in answer.spans],
    }


def _count(count: KeptCount) -> Json:
    return {
        "start": rfc_3339(count.start_s),
        "end": rfc_3339(count.end_s),
        "kept": count.kept,
        "is_more": count.is_more,
        "calls": count.calls,
    }


def _request(request: KeptRequest) -> Json:
    return {
        "trace_id": request.trace_id,
        "span_id": request.span_id,
        "start": _time(request.start_ns),
        "duration_s": request.duration_s,
        "service": request.service_name,
        "version": request.service_version,
        "instance": request.service_instance_id,
        "environment": request.deployment_environment,
        "model": request.model_name,
        "model_version": request.model_version,
        "span_kind": request.span_kind,
        "name": request.name,
        "method": request.http_method,
        "route": request.http_route,
        "peer": request.peer,
        "operation": request.operation,
        "status_code": request.http_status_code,
        "error": request.is_error,
        "kept_as": request.kept_as,
    }


def _span(span: TraceSpan) -> Json:
    return {
        **_request(span.request),
        "parent_span_id": span.parent_span_id,
        "depth": span.depth,
        "is_parent_missing": span.is_parent_missing,
        "status_message": span.status_message,
        "attributes": dict(span.attributes),
        "events": [
            {"name": event.name, "time": _time(event.time_ns), "attributes": dict(event.attributes)}
            for event in span.events
        ],
        "links": [
            {"trace_id": link.trace_id, "span_id": link.span_id, "attributes": dict(link.attributes)}
            for link in span.links
        ],
        "dropped": span.dropped_count,
    }


def _time(unix_ns: int) -> str:
    """Write a time to the nanosecond; what no calendar has (an event that a broken clock stamped) is its end."""
    second, rest = divmod(min(max(unix_ns, 0), 253_402_300_799 * _NS_PER_S), _NS_PER_S)
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
