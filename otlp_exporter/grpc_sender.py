"""Sends requests over OTLP/gRPC: the bytes as they are, never through the generated classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from otlp_exporter.answers import Taken, TargetFailedError, TargetRefusedError, shown, taken_of
from otlp_exporter.certificates import grpc_credentials
from otlp_exporter.target_settings import TargetSettings
from telemetry import Signal
from telemetry.forwarding_trail import FORWARDED_BY_HEADER, header_of

_METHODS: Final = {
    Signal.TRACES: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    Signal.METRICS: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    Signal.LOGS: "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}
_RETRYABLE: Final = frozenset(
    {
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)
_OPTIONS: Final[Sequence[tuple[str, Any]]] = (
    ("grpc.max_send_message_length", -1),
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    ("grpc.use_local_subchannel_pool", 1),
)


class GrpcSender:
    """One channel, made in the loop that uses it."""

    def __init__(self, target: TargetSettings) -> None:
        """Raises `StartError` when headers or certificates cannot be read."""
        host, port = target.address
        headers = target.all_headers()
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        is_gzip = target.compression == "gzip"
        compression = grpc.Compression.Gzip if is_gzip else grpc.Compression.NoCompression
        if target.is_secure:
            self._channel = grpc.aio.secure_channel(address, grpc_credentials(target), _OPTIONS, compression)
        else:
            self._channel = grpc.aio.insecure_channel(address, _OPTIONS, compression)
        self._calls: dict[Signal, Any] = {
            signal: self._channel.unary_unary(method, None, None) for signal, method in _METHODS.items()
        }
        self._metadata = tuple(headers.items())
        self._secrets = tuple(headers.values())
        self._timeout_s = target.timeout_s

    async def send(self, signal: Signal, body: bytes, forwarded_by: Sequence[str]) -> Taken:
        """Return once the target has the request. Raises `TargetFailedError` or `TargetRefusedError`."""
        metadata = (*self._metadata, (FORWARDED_BY_HEADER, header_of(forwarded_by)))
        try:
            raw = await self._calls[signal](body, timeout=self._timeout_s, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            raise self._translated(error) from None
        return taken_of(signal, raw, self._secrets)

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close(None)

    def _translated(self, error: grpc.aio.AioRpcError) -> TargetFailedError | TargetRefusedError:
        code = error.code()
        message = f"{code.name}: {shown(error.details() or '', self._secrets)}"
        pause_s = _retry_info_s(error)
        # Without RetryInfo it is said of the request itself, such as that it is too large.
        may_retry = code in _RETRYABLE or (code is grpc.StatusCode.RESOURCE_EXHAUSTED and pause_s is not None)
        if may_retry:
            return TargetFailedError(message, code.name, retry_after_s=pause_s or 0.0)
        return TargetRefusedError(message, code.name)


def _retry_info_s(error: grpc.aio.AioRpcError) -> float | None:
    trailers: Any = error.trailing_metadata() or ()  # pairs, whatever the stubs say
    for key, value in trailers:
        if key != "grpc-status-details-bin":
            continue
        try:
            for detail in Status.FromString(value).details:
                info = RetryInfo()
                if detail.Unpack(info):
                    return float(info.retry_delay.seconds + info.retry_delay.nanos / 1e9)
        except DecodeError:
            return None
    return None
