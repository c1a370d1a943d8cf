"""One attempt to send encoded spans, with what OpenTelemetry's exporters have read from the environment.

Their addresses, credentials, headers, compression and timeouts are used as they are. What is ours is around it: bytes
instead of messages, and one attempt at a time, because the exporters block for ten seconds, log every attempt and then
drop the spans.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

RETRYABLE_STATUSES = frozenset({408, 429, 500, 502, 503, 504})


class SendError(Exception):
    """The spans were not taken; `is_final`: asking again is of no use; `retry_after_s`: the server says when."""

    def __init__(self, reason: str, *, is_final: bool = False, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.is_final = is_final
        self.retry_after_s = retry_after_s


class Transport(Protocol):
    """Where bytes go."""

    endpoint: str

    def send(self, request: bytes) -> None:
        """Send an ExportTraceServiceRequest; raise `SendError` when it was not taken."""

    def reconnect(self) -> None:
        """Leave the connection behind: it failed, or it is that of the process that this one was forked from."""

    def close(self) -> None:
        """End the attempt that is under way, if that is possible."""


def transport_of(exporter: Any) -> Transport | None:
    """Return the transport of an exporter of OpenTelemetry's, None for other exporters and for unknown versions."""
    makers: dict[str, Callable[[Any], Transport]] = {
        "opentelemetry.exporter.otlp.proto.grpc.trace_exporter": GrpcTransport,
        "opentelemetry.exporter.otlp.proto.http.trace_exporter": HttpTransport,
    }
    make = makers.get(type(exporter).__module__)
    try:
        return make(exporter) if make else None
    except AttributeError:
        return None


class GrpcTransport:
    """OTLP over gRPC."""

    def __init__(self, exporter: Any) -> None:
        self._exporter = exporter
        self._headers, self._timeout_s = exporter._headers, exporter._timeout
        self._final_unless = exporter._retryable_error_codes
        self.endpoint = exporter._endpoint
        self._call = self._method()

    def _method(self) -> Any:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

        return self._exporter._channel.unary_unary(
            "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            response_deserializer=ExportTraceServiceResponse.FromString,
        )

    def send(self, request: bytes) -> None:
        from grpc import RpcError, StatusCode

        try:
            self._call(request, metadata=self._headers, timeout=self._timeout_s)
        except RpcError as error:
            code = error.code()
            reason = f"{code.name}: {error.details()}"
            delay_s = _retry_delay_s(error)
            # OTLP's specification: exhausted without RetryInfo means this request itself, such as one that is too large
            is_final = code not in self._final_unless or (code is StatusCode.RESOURCE_EXHAUSTED and delay_s is None)
            raise SendError(reason, is_final=is_final, retry_after_s=delay_s) from None
        except ValueError as error:  # the channel was closed meanwhile
            raise SendError(str(error)) from None

    def reconnect(self) -> None:
        self._exporter._channel.close()
        self._exporter._initialize_channel_and_stub()
        self._call = self._method()

    def close(self) -> None:
        self._exporter.shutdown()


def _retry_delay_s(error: Any) -> float | None:
    """Return what google.rpc.RetryInfo in the trailing metadata says."""
    from google.rpc.error_details_pb2 import RetryInfo

    for key, value in error.trailing_metadata() or ():
        if key == "google.rpc.retryinfo-bin":
            delay = RetryInfo.FromString(value).retry_delay
            return float(delay.seconds + delay.nanos / 1e9)
    return None


class HttpTransport:
    """OTLP over HTTP with protobuf bodies."""

    def __init__(self, exporter: Any) -> None:
        self._exporter = exporter
        client = exporter._client
        self._compress, self._submit, self._timeout_s = client._compress, client._submit, client._timeout
        self.endpoint = exporter._endpoint

    def send(self, request: bytes) -> None:
        try:
            result = self._submit(self._compress(request), self._timeout_s)
        except Exception as error:
            raise SendError(f"{type(error).__name__}: {error}") from error
        status = result.status_code
        if status is None:
            raise SendError(str(result.error or "no answer"))
        if not 200 <= status < 300:
            is_final = status not in RETRYABLE_STATUSES
            reason = f"HTTP {status} {result.reason or ''}".rstrip()
            raise SendError(reason, is_final=is_final, retry_after_s=_retry_after_s(result))

    def reconnect(self) -> None:
        self._exporter._client._transport.close()

    def close(self) -> None:
        self._exporter.shutdown()


def _retry_after_s(result: Any) -> float | None:
    """Return the Retry-After header's seconds; a date is not worth its parsing."""
    try:
        return max(0.0, float(result.headers().get("retry-after", "")))
    except Exception:
        return None
