"""Cuts a large request of metrics into parts that targets take."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

PART_BYTES: Final = 2 * 1024**2
"""OTLP receivers on gRPC take 4 MiB unless told otherwise, and RabbitMQ 16 MiB."""


def parts_of(body: bytes, part_bytes: int = PART_BYTES) -> Iterator[bytes]:
    """Yield the points of a serialised request in requests of `part_bytes` at most, the same ones for the same body.

    A single point that is larger stays whole. Raises `google.protobuf.message.DecodeError`.
    """
    if len(body) <= part_bytes:
        yield body
        return
    request = ExportMetricsServiceRequest.FromString(body)
    middle = len(_widest(request)) // 2
    if not middle:
        yield body
        return
    for other_half in (slice(middle, None), slice(middle)):
        part = ExportMetricsServiceRequest.FromString(body)
        del _widest(part)[other_half]
        yield from parts_of(part.SerializeToString(), part_bytes)


def _widest(request: ExportMetricsServiceRequest) -> Any:
    """Return the outermost list that has more than one entry, or the innermost one."""
    entries: Any = request.resource_metrics
    for name in ("scope_metrics", "metrics"):
        if len(entries) != 1:
            return entries
        entries = getattr(entries[0], name)
    if len(entries) != 1:
        return entries
    [metric] = entries
    return getattr(metric, metric.WhichOneof("data")).data_points
