"""HTTP/1.1 connections with the bounds that uvicorn leaves open: how many, how large a head, how long each step.

Beneath `http_app`: everything that a sender can do before there is a request, between two, or after the answer.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, Literal, NoReturn

import httptools
import uvicorn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from otlp_receiver.errors import HeadersTooLargeError, MalformedError, OverloadedError
from otlp_receiver.settings import ReceiverSettings
from otlp_receiver.statuses import JSON, PROTOBUF, HttpAnswer, http_answer
from telemetry import Counters, PermanentError, RetryableError

MAX_PIPELINED: Final = 16
"""Requests of one connection that may wait for those before them; who sends more is answered those and no more."""

LINGER_S: Final = 5.0
"""A sender that was answered before its body was complete may send so long: cut off at once it would not read on."""
_REFUSED_LINGER_S: Final = 1.0

_Stage = Literal["between requests", "head", "body"]


class OpenConnections:
    """How many connections are open, and how many are being refused, which their protocols share."""

    def __init__(self) -> None:
        self.taken = 0
        self.refused = 0


class BoundedHttpProtocol(HttpToolsProtocol):
    """One connection. Answers in order, also with errors; closes whatever takes too long."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        settings: ReceiverSettings,
        counters: Counters,
        open_connections: OpenConnections,
    ) -> None:
        super().__init__(config, server_state, {}, asyncio.get_running_loop())
        self._settings = settings
        self._counters = counters
        self._open = open_connections
        self._max_head_bytes = settings.max_header_bytes
        self._is_taken = False
        self._stage: _Stage = "between requests"
        self._head_bytes = 0
        self._barren_bytes = 0
        self._running: RequestResponseCycle | None = None
        self._fault: PermanentError | RetryableError | None = None
        self._is_refused = False
        self._head_timer: asyncio.TimerHandle | None = None
        self._end_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None

    # What the transport calls.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        super().connection_made(transport)
        self.flow = _OrderlyFlow(self)
        limit = self._settings.max_connections
        self._is_taken = self._open.taken < limit
        if self._is_taken:
            self._open.taken += 1
            self._expect_head()
            return
        self._open.refused += 1
        self._counters.add("receiver_refused_connections", transport="http")
        if self._open.refused > limit:
            self.transport.abort()
        else:
            self._refuse(OverloadedError(f"{limit} connections are open, which is the limit: try again"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._open.taken -= self._is_taken
        self._open.refused -= not self._is_taken
        if self._running is not None:
            self._running.disconnected = True
        for timer in (self._head_timer, self._end_timer, self._write_timer):
            if timer is not None:
                timer.cancel()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_refused:
            return
        self._unset_keepalive_if_required()
        self._barren_bytes += len(data)
        try:
            self._parse(data)
        except httptools.HttpParserError:
            self._refuse(self._fault or MalformedError("what was sent is no request in HTTP/1.1"))
            return
        if self._barren_bytes > self._max_head_bytes:
            # Without end: a head, one header, trailers or the extension of a chunk.
            self._refuse(self._too_large())
        elif self._stage == "head" or (self._stage == "between requests" and not self._is_answer_due):
            self._expect_head()

    def eof_received(self) -> bool:  # type: ignore[override] # as asyncio has it
        """Answer what a sender that has closed its side only still waits for; TLS has no such thing."""
        if self.scheme == "https" or self._stage == "body" or not self._is_answer_due:
            return False
        self.cycle.keep_alive = False
        return True

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_timer = self.loop.call_later(self._settings.header_timeout_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()

    def _parse(self, data: bytes) -> None:
        """Feed the parser; decline whatever other protocol is offered, such as HTTP/2 by Java's client.

        The parser takes what follows the head of such a request for the other protocol's, although it is the body. So
        another parser gets the head without the offer, and then the rest.
        """
        while True:
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as offer:
                data = self._head_without_offer() + data[offer.args[0] :]  # up to there it has been parsed
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does

    def _head_without_offer(self) -> bytes:
        line = b"%s %s HTTP/%s\r\n" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        kept = [name + b": " + value + b"\r\n" for name, value in self.headers if name != b"upgrade"]
        return b"".join([line, *kept, b"\r\n"])

    # What the parser calls. Errors end the parsing and are found in `_fault`.

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._stage = "head"
        self._head_bytes = 0

    def on_url(self, url: bytes) -> None:
        self._head_bytes += len(url)
        if self._head_bytes > self._max_head_bytes:
            self._refuse_head()
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value) + 4  # with colon, space and line end
        if self._head_bytes > self._max_head_bytes:
            self._refuse_head()
        if self._stage == "head":  # else it is a trailer, which has no say any more
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                raise MalformedError("a tunnel is no offer that could be declined")
            return  # it comes again without the offer
        if len(self.pipeline) >= MAX_PIPELINED:
            self._fault = OverloadedError(f"more than {MAX_PIPELINED} requests wait for their answers")
            raise self._fault
        super().on_headers_complete()
        self._barren_bytes = 0
        self._stage = "body"
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def on_body(self, body: bytes) -> None:
        self._barren_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        self._barren_bytes = 0
        self._stage = "between requests"
        if self._end_timer is not None:
            self._end_timer.cancel()
            self._end_timer = None
        super().on_message_complete()

    # What uvicorn calls.

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():
            return
        if self._is_refused and not self.pipeline:
            self._end()
        elif self._stage == "body" and not self._is_answer_due:
            self._end_timer = self.loop.call_later(LINGER_S, self.transport.close)

    @property
    def _is_answer_due(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _expect_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self._settings.header_timeout_s, self._give_up_on_head)

    def _give_up_on_head(self) -> None:
        if self._stage == "head" and not self.transport.is_closing():
            late = f"the head of the request was not complete after {self._settings.header_timeout_s:g} s"
            self._refuse(RetryableError(f"{late}: send it again, faster"))
        else:
            self.transport.close()

    def _refuse_head(self) -> NoReturn:
        self._fault = self._too_large()
        raise self._fault

    def _too_large(self) -> HeadersTooLargeError:
        return HeadersTooLargeError(f"the headers are larger than {self._max_head_bytes} bytes")

    def _refuse(self, error: PermanentError | RetryableError) -> None:
        """Read no further. Answers that are due come first; only where none is, `error` is the answer."""
        self._is_refused = True
        broken = self.cycle if self._stage == "body" else None
        due = self.cycle if broken is None and self._is_answer_due else None
        if broken is not None and self.pipeline:
            self.pipeline.popleft()
            broken, due = None, self.pipeline[0][0] if self.pipeline else self._running
        if due is not None:
            return
        if broken is None or not broken.response_complete:
            self.transport.write(_raw(http_answer(error, self._answer_type())))
        if broken is not None:
            broken.disconnected = True
            broken.message_event.set()
        self._end()

    def _end(self) -> None:
        """Close so that what was answered arrives: closed at once with something unread, it might not."""
        if self.transport.can_write_eof():
            self.transport.write_eof()
        if self._end_timer is not None:
            self._end_timer.cancel()
        self._end_timer = self.loop.call_later(_REFUSED_LINGER_S, self.transport.abort)

    def _answer_type(self) -> str:
        is_protobuf = self._stage != "between requests" and (b"content-type", PROTOBUF.encode()) in self.headers
        return PROTOBUF if is_protobuf else JSON


class _OrderlyFlow(FlowControl):
    """Reads on only while no request waits for those before it: else a sender could fill the memory with them."""

    def __init__(self, protocol: BoundedHttpProtocol) -> None:
        super().__init__(protocol.transport)
        self._pipeline = protocol.pipeline

    def resume_reading(self) -> None:
        if not self._pipeline:
            super().resume_reading()


def _raw(answer: HttpAnswer) -> bytes:
    lines = [name + b": " + value + b"\r\n" for name, value in answer.headers]
    return b"".join([STATUS_LINE[answer.status], *lines, b"connection: close\r\n\r\n", answer.body])
