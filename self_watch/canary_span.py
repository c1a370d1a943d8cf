"""The canary's span as an OTLP request.

Pure; `canary.py` sends it.
"""

from __future__ import annotations

import secrets

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from telemetry.conventions import CANARY_SERVICE_NAME, SERVICE_INSTANCE_ID, SERVICE_NAME

_LENGTH_NS = 1_000_000


def canary_request(instance: str, end_ns: int) -> bytes:
    """Return a request with one SERVER span of a millisecond that ended at `end_ns` (Unix nanoseconds)."""
    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    for key, value in ((SERVICE_NAME, CANARY_SERVICE_NAME), (SERVICE_INSTANCE_ID, instance)):
        attribute = resource_spans.resource.attributes.add()
        attribute.key = key
        attribute.value.string_value = value
    span = resource_spans.scope_spans.add().spans.add()
    span.trace_id, span.span_id = secrets.token_bytes(16), secrets.token_bytes(8)
    span.name, span.kind = "canary", Span.SPAN_KIND_SERVER
    span.start_time_unix_nano, span.end_time_unix_nano = end_ns - _LENGTH_NS, end_ns
    return request.SerializeToString()
