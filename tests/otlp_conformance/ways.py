"""The three ways to send an OTLP request, behind one face: OTLP/gRPC, OTLP/HTTP as protobuf, OTLP/HTTP as JSON.

Every answer that passes here is held to the form that the specification gives it, whatever the test is about.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import grpc
import grpc.aio
from google.protobuf import json_format
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from otlp_receiver.component import OtlpReceiver
from tests.otlp_conformance.raw_http import HttpReply, exchange
from tests.otlp_conformance.samples import Kind

PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"
MAX_RESPONSE_BYTES: Final = 4 * 1024 * 1024
"""What clients read at most ("OTLP/HTTP Response")."""

RETRYABLE_GRPC: Final = {"CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"}
RETRYABLE_HTTP: Final = {429, 502, 503, 504}


@dataclass(frozen=True)
class Reply:
    """What a sender hears. `code` is the name of the gRPC code or the HTTP status."""

    code: str | int
    response: Any = None
    """The `Export…ServiceResponse` of a success."""
    status: Any = None
    """The `google.rpc.Status` of a failure; over gRPC it is made of code and message where there are no details."""
    retry_after_s: float | None = None
    headers: Mapping[str, Any] = field(default_factory=dict)
    """Response headers, or trailing metadata."""
    body: bytes = b""

    @property
    def is_success(self) -> bool:
        return self.code in ("OK", 200)

    @property
    def is_retryable(self) -> bool:
        return self.code in RETRYABLE_GRPC or self.code in RETRYABLE_HTTP

    @property
    def is_full_success(self) -> bool:
        return self.is_success and not self.response.HasField("partial_success")

    @property
    def message(self) -> str:
        return str(self.status.message)

    def is_one_of(self, grpc_code: str, http_status: int) -> bool:
        """Tell whether the answer is this one, in the terms of its own transport."""
        return self.code in (grpc_code, http_status)

    def detail(self, kind: type[Message]) -> Any:
        """Return the detail of this type in the status, or `None`."""
        found = kind()
        return next((found for one in self.status.details if one.Unpack(found)), None)


class Way(Protocol):
    """How a request is encoded and carried."""

    @property
    def name(self) -> str: ...

    @property
    def is_http(self) -> bool: ...

    def encode(self, request: Message) -> bytes: ...

    async def send_bytes(
        self, kind: Kind, body: bytes, headers: Mapping[str, str] | None = None, *, is_gzip: bool = False
    ) -> Reply: ...


async def send(
    way: Way, kind: Kind, request: Message, headers: Mapping[str, str] | None = None, *, is_gzip: bool = False
) -> Reply:
    """Encode a request for the way and send it."""
    return await way.send_bytes(kind, way.encode(request), headers, is_gzip=is_gzip)


class GrpcWay:
    """Bytes as the one message of an `Export` call, on a channel of its own."""

    name = "grpc"
    is_http = False

    def __init__(self, port: int) -> None:
        self.port = port

    def channel(self) -> grpc.aio.Channel:
        # Without a subchannel pool of its own a channel would share the connection, and the backoff, of earlier ones.
        return grpc.aio.insecure_channel(f"127.0.0.1:{self.port}", options=[("grpc.use_local_subchannel_pool", 1)])

    def encode(self, request: Message) -> bytes:
        return request.SerializeToString()

    async def send_bytes(
        self, kind: Kind, body: bytes, headers: Mapping[str, str] | None = None, *, is_gzip: bool = False
    ) -> Reply:
        async with self.channel() as channel:
            return await call(channel, kind, body, headers, is_gzip=is_gzip)


async def call(
    channel: grpc.aio.Channel,
    kind: Kind,
    body: bytes,
    headers: Mapping[str, str] | None = None,
    *,
    is_gzip: bool = False,
    method: str | None = None,
) -> Reply:
    """Send bytes on a channel; another `method` than the signal's own can be given."""
    compression = grpc.Compression.Gzip if is_gzip else grpc.Compression.NoCompression
    method = method or kind.method
    try:
        response = await channel.unary_unary(method)(
            body, metadata=tuple((headers or {}).items()), timeout=20, compression=compression
        )
    except grpc.aio.AioRpcError as error:
        return _grpc_failure(error)
    assert len(response) <= MAX_RESPONSE_BYTES
    return Reply("OK", response=_checked(kind.response.FromString(response)), body=response)


def _grpc_failure(error: grpc.aio.AioRpcError) -> Reply:
    trailers: dict[str, Any] = dict(error.trailing_metadata() or ())
    assert error.code() is not grpc.StatusCode.UNKNOWN, f"UNKNOWN makes clients drop their data: {error.details()}"
    number: int = error.code().value[0]
    status = Status(code=number, message=error.details() or "")
    assert status.message, "a failure says what is wrong"
    if "grpc-status-details-bin" in trailers:
        status = Status.FromString(trailers["grpc-status-details-bin"])
        assert (status.code, status.message) == (number, error.details()), "both forms of the status agree"
    reply = Reply(error.code().name, status=status, headers=trailers, retry_after_s=_retry_delay_s(status))
    if "google.rpc.retryinfo-bin" in trailers:
        other = RetryInfo.FromString(trailers["google.rpc.retryinfo-bin"]).retry_delay.ToNanoseconds() / 1e9
        assert other == reply.retry_after_s, "both trailers give the same delay"
    return reply


def _retry_delay_s(status: Any) -> float | None:
    retry_info = RetryInfo()
    found = any(detail.Unpack(retry_info) for detail in status.details)
    return retry_info.retry_delay.ToNanoseconds() / 1e9 if found else None


class HttpWay:
    """A POST to the path of the signal, in the encoding of the content type."""

    is_http = True

    def __init__(self, port: int, content_type: str) -> None:
        self.port = port
        self.content_type = content_type
        self.name = "http/json" if content_type == JSON else "http/protobuf"

    def encode(self, request: Message) -> bytes:
        return to_json(request) if self.content_type == JSON else request.SerializeToString()

    async def send_bytes(
        self, kind: Kind, body: bytes, headers: Mapping[str, str] | None = None, *, is_gzip: bool = False
    ) -> Reply:
        if is_gzip:
            body, headers = gzip.compress(body), {"content-encoding": "gzip", **(headers or {})}
        reply = await exchange(
            self.port, "POST", kind.path, {"content-type": self.content_type, **(headers or {})}, body
        )
        return read_reply(reply, kind, self.content_type)


def read_reply(reply: HttpReply, kind: Kind, content_type: str) -> Reply:
    """Read a response, insisting on the form that the specification gives it for this content type."""
    assert len(reply.body) <= MAX_RESPONSE_BYTES
    assert reply.content_type == content_type, f"answered {reply.status} in {reply.content_type}"
    assert not 300 <= reply.status < 400, "some clients take a redirect for success"
    retry_after = reply.headers.get("retry-after")
    if reply.status == 200:
        response = _checked(_parse(kind.response, reply.body, content_type))
        return Reply(200, response=response, headers=reply.headers, body=reply.body)
    assert 400 <= reply.status < 600
    status = _parse(Status, reply.body, content_type)
    assert status.message, "a failure says what is wrong"
    assert retry_after is None or reply.status in (429, 503), "Retry-After invites a retry"
    seconds = None if retry_after is None else float(int(retry_after))
    return Reply(reply.status, status=status, retry_after_s=seconds, headers=reply.headers, body=reply.body)


def _parse(message_type: type[Message], body: bytes, content_type: str) -> Any:
    if content_type != JSON:
        return message_type.FromString(body)
    json.loads(body)  # what the parser below is lenient with, a browser is not
    return json_format.Parse(body, message_type())


def _checked(response: Any) -> Any:
    """Hold a success to "Partial Success": a populated field always explains itself."""
    if response.HasField("partial_success"):
        assert response.partial_success.error_message, "a partial success says why"
    return response


_HEX_KEYS: Final = {"traceId", "spanId", "parentSpanId"}


def to_json(request: Message) -> bytes:
    """Encode a request as OTLP/JSON: protobuf's own JSON, with ids in hex and enums as numbers."""
    return json.dumps(
        with_hex_ids(json_format.MessageToDict(request, use_integers_for_enums=True)), ensure_ascii=False
    ).encode()


def with_hex_ids(value: Any) -> Any:
    """Return JSON as protobuf maps it with its ids as OTLP/JSON writes them ("JSON Protobuf Encoding")."""
    if isinstance(value, dict):
        return {
            key: base64.b64decode(one).hex() if key in _HEX_KEYS else with_hex_ids(one) for key, one in value.items()
        }
    return [with_hex_ids(one) for one in value] if isinstance(value, list) else value


WAY_NAMES: Final = ("grpc", "http/protobuf", "http/json")


def way_of(name: str, receiver: OtlpReceiver) -> Way:
    """Return the way of this name to a started receiver."""
    if name == "grpc":
        return GrpcWay(receiver.grpc_port)
    return HttpWay(receiver.http_port, JSON if name == "http/json" else PROTOBUF)
