"""OTLP/HTTP as a raw ASGI application.

One of the two ends that senders see; each POST to the path of a signal becomes an `Incoming` for the intake. Raw,
because a request should cost no more than its bytes, and because every answer has a form of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final, Literal

from otlp_receiver.bodies import Form
from otlp_receiver.decompression import DECOMPRESSORS
from otlp_receiver.errors import (
    OverloadedError,
    TooLargeError,
    UnknownPathError,
    UnsupportedMediaTypeError,
    WrongMethodError,
)
from otlp_receiver.intake import Failure, Intake
from otlp_receiver.partial_success import Rejection
from otlp_receiver.signals import ROUTES
from otlp_receiver.statuses import JSON, PROTOBUF, HttpAnswer, http_answer, http_success
from telemetry import RetryableError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_UNCODED: Final = ("", "identity")
"""The values of `Content-Encoding` that stand for none."""


class HttpApp:
    """Answers every request, whatever it is, with success or with a `google.rpc.Status`."""

    def __init__(self, intake: Intake, max_request_bytes: int) -> None:
        self._intake = intake
        self._max_request_bytes = max_request_bytes
        self._routes = {route.http_path: route for route in ROUTES}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = HttpIncoming(scope["headers"], receive, self._max_request_bytes)
        try:
            answer = await self._answer(scope, request)
        except asyncio.CancelledError:
            # The server's stop has lost patience, and would answer 500 for us.
            stopped = OverloadedError("the receiver stopped before the request was complete: send it again")
            answer = http_answer(stopped, request.content_type)
        await _send(send, answer)

    async def _answer(self, scope: Scope, request: HttpIncoming) -> HttpAnswer:
        outcome: Rejection | Failure | None
        route = self._routes.get(scope["path"])
        if route is None:
            outcome = UnknownPathError(f"nothing is served under this path: send to {', '.join(self._routes)}")
        elif scope["method"] != "POST":
            outcome = WrongMethodError("OTLP requests are sent with POST")
        else:
            outcome = await self._intake.take(route, request)
            if outcome is None or isinstance(outcome, Rejection):
                return http_success(route, request.content_type, outcome)
        return http_answer(outcome, request.content_type)


class HttpIncoming:
    """An HTTP request as the intake sees it."""

    transport: Literal["http"] = "http"

    def __init__(self, headers: Iterable[tuple[bytes, bytes]], receive: Receive, max_request_bytes: int) -> None:
        self._headers = _joined(headers)
        self.content_type = self._headers.get("content-type", "").partition(";")[0].strip().lower()
        """The media type without parameters."""
        self._receive = receive
        self._max_request_bytes = max_request_bytes

    @property
    def form(self) -> Form:
        coding = self._content_encoding
        return Form("" if coding in _UNCODED else coding, self.content_type == JSON)

    def header(self, name: str) -> str | None:
        return self._headers.get(name)

    async def read(self, claim_bytes: Callable[[int], None]) -> bytes:
        """Return the body as sent; what its headers say against it is found before the first byte is read."""
        if self.content_type not in (PROTOBUF, JSON):
            raise UnsupportedMediaTypeError(f"the content type must be {PROTOBUF} or {JSON}")
        if self._content_encoding not in (*_UNCODED, *DECOMPRESSORS):
            raise UnsupportedMediaTypeError("the content encoding must be gzip, deflate, zstd or none")
        self._require_size(int(self._headers.get("content-length", "0")))
        chunks: list[bytes] = []
        size = 0
        has_more = True
        while has_more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise RetryableError("the connection was closed before the body was complete")
            chunk: bytes = message.get("body", b"")
            size += len(chunk)
            self._require_size(size)
            claim_bytes(len(chunk))
            chunks.append(chunk)
            has_more = message.get("more_body", False)
        return b"".join(chunks)

    @property
    def _content_encoding(self) -> str:
        return self._headers.get("content-encoding", "").strip().lower()

    def _require_size(self, size_bytes: int) -> None:
        if size_bytes > self._max_request_bytes:
            raise TooLargeError(f"the request is larger than {self._max_request_bytes} bytes")


def _joined(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return headers by lower-case name; repeated ones are one list (RFC 9110, section 5.3)."""
    joined: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return joined


async def _send(send: Send, answer: HttpAnswer) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    await send({"type": "http.response.body", "body": answer.body})
