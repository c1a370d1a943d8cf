"""A steady load of small numbered requests over both transports, noting what the senders were told.

Each request is its own route of one service, so that the history tells exactly which requests are stored.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol

import grpc
import grpc.aio
import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.contract_checker import TRANSPORTS, Attempt, Fate, Journal
from tests.support.otlp import resource, server_span, trace_request
from tests.support.waiting import eventually

METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
PROTOBUF = "application/x-protobuf"
ANSWER_TIMEOUT_S = 10.0
LONGEST_PAUSE_S = 1.5
"""Shorter than an SDK's, so that a test need not wait for the last attempt."""
RETRYABLE_GRPC = frozenset(
    {
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)
RETRYABLE_HTTP = frozenset({429, 502, 503, 504})
STATUSES = (200, 404, 500)


def body_of(test_id: str, request: int, padding_bytes: int = 0) -> bytes:
    """Return request number `request`: a span per entry of `STATUSES`, one of them an error."""
    padding = {"padding": "x" * padding_bytes} if padding_bytes else None
    spans = [
        server_span(route=f"/{request}", status_code=status, end_ns=time.time_ns(), index=index, attributes=padding)
        for index, status in enumerate(STATUSES)
    ]
    return trace_request(spans, resource(test_id)).SerializeToString()


def number_of(body: bytes, test_id: str) -> int | None:
    """Return the number of a request of this test, `None` for another test's."""
    (of_service,) = ExportTraceServiceRequest.FromString(body).resource_spans
    if of_service.resource.attributes[0].value.string_value != test_id:
        return None
    attributes = {pair.key: pair.value.string_value for pair in of_service.scope_spans[0].spans[0].attributes}
    return int(attributes["http.route"].removeprefix("/"))


class Wire(Protocol):
    """One transport: sends bytes, and tells their fate and what was said."""

    async def send(self, body: bytes) -> tuple[Fate, str]: ...

    async def close(self) -> None: ...


class GrpcWire:
    """OTLP/gRPC over one connection, which is made again soon after it broke."""

    def __init__(self, port: int) -> None:
        options = [
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 300),
        ]
        self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options)
        self._export = self._channel.unary_unary(METHOD)

    async def send(self, body: bytes) -> tuple[Fate, str]:
        try:
            await self._export(body, timeout=ANSWER_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            said = f"{error.code().name}: {error.details()}"
            if error.code() not in RETRYABLE_GRPC:
                return Fate.REJECTED, said
            # The library invents UNAVAILABLE for a broken connection; what the receiver says carries its Status.
            is_heard = any(key == "grpc-status-details-bin" for key, _ in error.trailing_metadata() or ())
            return Fate.REFUSED if is_heard else Fate.UNANSWERED, said
        return Fate.ACKNOWLEDGED, "OK"

    async def close(self) -> None:
        await self._channel.close()


class HttpWire:
    """OTLP/HTTP with protobuf over kept connections."""

    def __init__(self, port: int) -> None:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=8)
        headers = {"content-type": PROTOBUF}
        self._url = f"http://127.0.0.1:{port}/v1/traces"
        self._client = httpx.AsyncClient(limits=limits, headers=headers, timeout=ANSWER_TIMEOUT_S)

    async def send(self, body: bytes) -> tuple[Fate, str]:
        try:
            response = await self._client.post(self._url, content=body)
        except httpx.TransportError as error:
            return Fate.UNANSWERED, repr(error)
        said = f"{response.status_code}: {response.content[:200]!r}"
        if response.status_code == 200:
            return Fate.ACKNOWLEDGED, said
        return Fate.REFUSED if response.status_code in RETRYABLE_HTTP else Fate.REJECTED, said

    async def close(self) -> None:
        await self._client.aclose()


@dataclass
class Load:
    """Sends `rate_per_s` new requests a second while it is open; leaving it waits until every sender is done.

    Half of the requests are sent by clients that try again after a refusal or no answer, for `patience_s` in all; the
    other half are sent once. Which is which, and over what, comes from `chance`.
    """

    journal: Journal
    grpc_port: int
    http_port: int
    chance: random.Random
    rate_per_s: float = 60.0
    patience_s: float = 10.0
    first_pause_s: float = 0.5
    padding_bytes: int = 0
    count: int = 0
    _sending: set[asyncio.Task[None]] = field(default_factory=set)
    _wires: dict[str, Wire] = field(default_factory=dict)
    _pacing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Load:
        self._wires = {"grpc": GrpcWire(self.grpc_port), "http": HttpWire(self.http_port)}
        self._pacing = asyncio.create_task(self._pace())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._pacing is not None
        self._pacing.cancel()
        await asyncio.wait({self._pacing})
        if error is not None:
            for task in self._sending:
                task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=error is not None)
        for wire in self._wires.values():
            await wire.close()
        if not self._pacing.cancelled():
            self._pacing.result()

    async def for_another(self, requests: int) -> None:
        """Return when so many further requests were sent."""
        goal = self.count + requests
        wanted_s = requests / self.rate_per_s
        await eventually(lambda: self.count >= goal, timeout_s=5 * wanted_s + 10, what=f"{requests} requests are sent")

    async def _pace(self) -> None:
        begin_s = time.monotonic()
        while True:
            due = int((time.monotonic() - begin_s) * self.rate_per_s) + 1
            while self.count < due:
                task = asyncio.create_task(self._send(self.count, self.chance.random(), self.chance.random() < 0.5))
                self._sending.add(task)
                task.add_done_callback(self._on_done)
                self.count += 1
            await asyncio.sleep(1 / self.rate_per_s)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        """Forget who succeeded; a sender that failed stays, so that leaving the load shows its error."""
        if not task.cancelled() and task.exception() is None:
            self._sending.discard(task)

    async def _send(self, request: int, draw: float, is_patient: bool) -> None:
        transport = TRANSPORTS[int(draw * len(TRANSPORTS))]
        body = body_of(self.journal.test_id, request, self.padding_bytes)
        deadline_s = time.monotonic() + (self.patience_s if is_patient else 0)
        pause_s = self.first_pause_s
        while True:
            sent_s = time.monotonic()
            fate, said = await self._wires[transport].send(body)
            took_s = time.monotonic() - sent_s
            self.journal.note(Attempt(request, transport, fate, said, sent_s, took_s))
            if fate in (Fate.ACKNOWLEDGED, Fate.REJECTED) or time.monotonic() + pause_s > deadline_s:
                return
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * (1.6 + 0.8 * draw), LONGEST_PAUSE_S)
