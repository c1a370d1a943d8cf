"""What a target can answer, and the two classes of error that its refusals become.

OTLP specification, "OTLP/gRPC Response", "OTLP/HTTP Response" and "Failures": what may be sent again and what must not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from telemetry import PermanentError, RetryableError, Signal

MAX_RETRY_AFTER_S: Final = 3600.0
_SHOWN_CHARS: Final = 200
_RESPONSES: Final[dict[Signal, tuple[Any, str]]] = {
    Signal.TRACES: (ExportTraceServiceResponse, "rejected_spans"),
    Signal.METRICS: (ExportMetricsServiceResponse, "rejected_data_points"),
    Signal.LOGS: (ExportLogsServiceResponse, "rejected_log_records"),
}


@dataclass(frozen=True, slots=True)
class Taken:
    """The target has the request, but for `rejected` items; `message` says why, or warns."""

    rejected: int = 0
    message: str = ""


class TargetFailedError(RetryableError):
    """The target has not taken the request, or not said so. `cause` is one of a few words, for figures.

    `retry_after_s` is what the target asked for, 0 when it did not.
    """

    def __init__(self, message: str, cause: str, *, retry_after_s: float = 0.0) -> None:
        super().__init__(message, retry_after_s=min(max(retry_after_s, 0.0), MAX_RETRY_AFTER_S))
        self.cause = cause


class TargetRefusedError(PermanentError):
    """The target will never take the request. `cause` as above."""

    def __init__(self, message: str, cause: str) -> None:
        super().__init__(message)
        self.cause = cause


class Sender(Protocol):
    """Sends request bodies to one target."""

    async def send(self, signal: Signal, body: bytes, forwarded_by: Sequence[str]) -> Taken:
        """Return once the target has the request and the ids of those who forwarded it.

        Raises `TargetFailedError` or `TargetRefusedError`.
        """
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...


def taken_of(signal: Signal, raw: bytes, secrets: Iterable[str]) -> Taken:
    """Read the body of a success. One that cannot be read is a success all the same, as its status says."""
    response_class, field = _RESPONSES[signal]
    try:
        partial = response_class.FromString(raw).partial_success
    except DecodeError:
        return Taken()
    return Taken(max(getattr(partial, field), 0), shown(partial.error_message, secrets))


def shown(text: str, secrets: Iterable[str]) -> str:
    """Return what a target says, fit for a log: short, of one line, and without what it repeats of our headers."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
        kind, _, token = secret.partition(" ")  # such as `Bearer abc`, of which servers repeat the token
        text = text.replace(token, "***") if kind and len(token) >= 4 else text
    return re.sub(r"[^\x20-\x7e\u00a0-\uffff]+", " ", text)[:_SHOWN_CHARS]
