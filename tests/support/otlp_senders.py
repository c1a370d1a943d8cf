"""Bare OTLP clients, one for each transport with the same face, for tests that need to see the answers themselves."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import grpc
import grpc.aio
import httpx
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from otlp_receiver.component import OtlpReceiver
from telemetry import Signal

EXPORT_TRACES = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
METHODS = {
    Signal.TRACES: EXPORT_TRACES,
    Signal.METRICS: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    Signal.LOGS: "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}
PROTOBUF = "application/x-protobuf"
JSON = "application/json"

_RETRYABLE_GRPC = {
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DATA_LOSS,
}
_RETRYABLE_HTTP = {429, 502, 503, 504}


@dataclass(frozen=True)
class Answer:
    """What a sender heard. `code` is the gRPC code's name or the HTTP status; `body` the response message."""

    transport: str
    code: str | int
    message: str
    is_retryable: bool
    retry_after_s: float | None
    body: bytes

    @property
    def is_success(self) -> bool:
        return self.code in ("OK", 200)

    def has_code(self, grpc_code: grpc.StatusCode, http_status: int) -> bool:
        """Tell whether the answer is this one, in the terms of its own transport."""
        return self.code == (grpc_code.name if self.transport == "grpc" else http_status)


class Sender(Protocol):
    async def send(
        self,
        body: bytes,
        headers: Mapping[str, str] | None = None,
        *,
        is_gzip: bool = False,
        signal: Signal = Signal.TRACES,
    ) -> Answer: ...


class GrpcSender:
    """Sends bytes, whatever they are, as the one message of an `Export` call."""

    def __init__(self, port: int) -> None:
        self._target = f"127.0.0.1:{port}"

    async def send(
        self,
        body: bytes,
        headers: Mapping[str, str] | None = None,
        *,
        is_gzip: bool = False,
        signal: Signal = Signal.TRACES,
        method: str | None = None,
    ) -> Answer:
        compression = grpc.Compression.Gzip if is_gzip else grpc.Compression.NoCompression
        # Without a subchannel pool of its own a channel would share the connection, and the backoff, of earlier ones.
        options = [("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(self._target, compression=compression, options=options) as channel:
            try:
                call = channel.unary_unary(method or METHODS[signal])
                response = await call(body, metadata=tuple((headers or {}).items()), timeout=20)
            except grpc.aio.AioRpcError as error:
                return _grpc_failure(error)
        return Answer("grpc", "OK", "", False, None, response)


def _grpc_failure(error: grpc.aio.AioRpcError) -> Answer:
    trailers: dict[str, Any] = dict(error.trailing_metadata())
    retry_after_s = None
    if "google.rpc.retryinfo-bin" in trailers:
        retry_after_s = _seconds(RetryInfo.FromString(trailers["google.rpc.retryinfo-bin"]))
        packed = RetryInfo()
        assert Status.FromString(trailers["grpc-status-details-bin"]).details[0].Unpack(packed)
        assert _seconds(packed) == retry_after_s, "both trailers give the same delay"
    retryable = error.code() in _RETRYABLE_GRPC
    return Answer("grpc", error.code().name, error.details() or "", retryable, retry_after_s, b"")


def _seconds(retry_info: RetryInfo) -> float:
    return retry_info.retry_delay.ToNanoseconds() / 1e9


class HttpSender:
    """Posts bytes, whatever they are, as protobuf."""

    def __init__(self, port: int) -> None:
        self._base_url = f"http://127.0.0.1:{port}"

    async def send(
        self,
        body: bytes,
        headers: Mapping[str, str] | None = None,
        *,
        is_gzip: bool = False,
        signal: Signal = Signal.TRACES,
    ) -> Answer:
        encoding = {"content-encoding": "gzip"} if is_gzip else {}
        async with httpx.AsyncClient(timeout=20) as client:
            response = await client.post(
                f"{self._base_url}/v1/{signal.value}",
                content=gzip.compress(body) if is_gzip else body,
                headers={"content-type": PROTOBUF} | encoding | dict(headers or {}),
            )
        return http_answer(response)


def http_answer(response: httpx.Response) -> Answer:
    """Read a response, insisting on the form that every OTLP/HTTP answer has."""
    assert response.headers["content-type"] in (PROTOBUF, "application/json")
    message = ""
    if response.status_code != 200:
        is_protobuf = response.headers["content-type"] == PROTOBUF
        message = Status.FromString(response.content).message if is_protobuf else response.json()["message"]
        assert message, "a Status has a message"
    after = response.headers.get("retry-after")
    return Answer(
        "http",
        response.status_code,
        message,
        response.status_code in _RETRYABLE_HTTP,
        None if after is None else int(after),
        response.content,
    )


def sender_of(transport: str, receiver: OtlpReceiver) -> Sender:
    """Return the sender for `grpc` or `http` to a started receiver."""
    return GrpcSender(receiver.grpc_port) if transport == "grpc" else HttpSender(receiver.http_port)
