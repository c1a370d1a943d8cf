"""The one mapping from errors to answers, for OTLP/gRPC and for OTLP/HTTP.

Both servers end here. Only the codes that the specification lets clients retry stand for retryable errors, and none of
the others do; whatever was not foreseen is answered as retryable, because data must not be lost to a defect of ours
(OTLP specification 1.11, "OTLP/gRPC Response", "OTLP/HTTP Response").
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Final

import grpc
import structlog
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, RetryInfo
from google.rpc.status_pb2 import Status

from otlp_receiver.errors import (
    HeadersTooLargeError,
    TooLargeError,
    UnauthenticatedError,
    UnknownPathError,
    UnsupportedMediaTypeError,
    WrongMethodError,
)
from otlp_receiver.partial_success import Rejection, json_response, protobuf_response
from otlp_receiver.signals import SignalRoute
from telemetry import ModelWatchError, PermanentError, RetryableError

JSON: Final = "application/json"
PROTOBUF: Final = "application/x-protobuf"

_MAX_MESSAGE_BYTES: Final = 500
"""Three times in gRPC's trailers, each time in a longer form, and together they must stay below 8 KiB for clients."""

_MIN_RETRY_S: Final = 1.0
_MAX_RETRY_S: Final = 3.0
"""SDKs give up after about 10 s in all: a longer hint would be one not to try again."""

_CODES: Final[tuple[tuple[type[ModelWatchError], grpc.StatusCode, int], ...]] = (
    (UnauthenticatedError, grpc.StatusCode.UNAUTHENTICATED, 401),
    (UnknownPathError, grpc.StatusCode.UNIMPLEMENTED, 404),
    (WrongMethodError, grpc.StatusCode.UNIMPLEMENTED, 405),
    (TooLargeError, grpc.StatusCode.RESOURCE_EXHAUSTED, 413),
    (HeadersTooLargeError, grpc.StatusCode.RESOURCE_EXHAUSTED, 431),
    (UnsupportedMediaTypeError, grpc.StatusCode.INVALID_ARGUMENT, 415),
    (PermanentError, grpc.StatusCode.INVALID_ARGUMENT, 400),
    (RetryableError, grpc.StatusCode.UNAVAILABLE, 503),
)

_HTTP_HINTS: Final[dict[int, tuple[bytes, bytes]]] = {
    401: (b"www-authenticate", b"Bearer"),
    405: (b"allow", b"POST"),
    415: (b"accept-encoding", b"gzip, deflate, zstd"),
}


@dataclass(frozen=True, slots=True)
class GrpcAnswer:
    """How a call is aborted: status code, message, trailing metadata."""

    code: grpc.StatusCode
    details: str
    trailers: tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A whole HTTP response."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


def foreseen(error: Exception) -> PermanentError | RetryableError:
    """Return `error` itself if it is one of the two classes, else log it and return a retryable one in its place.

    The text of an unforeseen error stays in the log: it may tell a stranger about our insides.
    """
    if isinstance(error, PermanentError | RetryableError):
        return error
    structlog.get_logger(__name__).error("unforeseen error while taking a request", exc_info=error)
    return RetryableError(
        "the request was not taken because of an unforeseen error, see ModelWatch's log; send it again"
    )


def grpc_answer(error: PermanentError | RetryableError) -> GrpcAnswer:
    """Map an error to gRPC.

    A retryable one carries `RetryInfo` twice: in `google.rpc.retryinfo-bin`, which is where the Python SDK looks, and
    in `grpc-status-details-bin`, where the Go SDK and the Collector do. Bad data carries `BadRequest` in the latter.
    """
    code, http_status = _codes(error)
    status = _status(error, code, http_status)
    trailers = []
    if isinstance(error, RetryableError):
        delay = Duration()
        delay.FromNanoseconds(round(_retry_after_s(error) * 1e9))
        retry_info = RetryInfo(retry_delay=delay)
        _add_detail(status, retry_info)
        trailers.append(("google.rpc.retryinfo-bin", retry_info.SerializeToString()))
    if status.details:
        trailers.append(("grpc-status-details-bin", status.SerializeToString()))
    return GrpcAnswer(code, status.message, tuple(trailers))


def grpc_success(route: SignalRoute, rejected: Rejection | None) -> bytes:
    """Return the answer to a call whose valid items were taken."""
    return protobuf_response(route, rejected)


def http_answer(error: PermanentError | RetryableError, content_type: str) -> HttpAnswer:
    """Map an error to HTTP: a `google.rpc.Status` in the request's content type, or as JSON if that is neither form.

    `Retry-After` is a whole number of seconds, at least 1: the JavaScript SDK takes 0 as "at once".
    """
    code, http_status = _codes(error)
    status = _status(error, code, http_status)
    if content_type == PROTOBUF:
        body = status.SerializeToString()
    else:
        content_type = JSON
        body = json.dumps(MessageToDict(status)).encode()
    headers = _headers(content_type, body)
    if isinstance(error, RetryableError):
        headers.append((b"retry-after", str(math.ceil(_retry_after_s(error))).encode()))
    if http_status in _HTTP_HINTS:
        headers.append(_HTTP_HINTS[http_status])
    return HttpAnswer(http_status, headers, body)


def http_success(route: SignalRoute, content_type: str, rejected: Rejection | None) -> HttpAnswer:
    """Return the answer to a request whose valid items were taken, in the form of the request."""
    body = (json_response if content_type == JSON else protobuf_response)(route, rejected)
    return HttpAnswer(200, _headers(content_type, body), body)


def _headers(content_type: str, body: bytes) -> list[tuple[bytes, bytes]]:
    return [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode())]


def _codes(error: PermanentError | RetryableError) -> tuple[grpc.StatusCode, int]:
    return next((code, http_status) for kind, code, http_status in _CODES if isinstance(error, kind))


def _retry_after_s(error: RetryableError) -> float:
    return min(max(_MIN_RETRY_S, error.retry_after_s), _MAX_RETRY_S)


def _status(error: ModelWatchError, code: grpc.StatusCode, http_status: int) -> Status:
    number: int = code.value[0]
    message = str(error).encode(errors="replace")[:_MAX_MESSAGE_BYTES].decode(errors="ignore")
    status = Status(code=number, message=message)
    if http_status == 400:
        _add_detail(status, BadRequest(field_violations=[{"field": "body", "description": message}]))
    return status


def _add_detail(status: Status, message: Message) -> None:
    detail = Any()
    detail.Pack(message)
    status.details.append(detail)
