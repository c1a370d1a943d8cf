"""The OTLP/gRPC server: raw bytes in, a response message out.

One of the two ends that senders see; each call becomes an `Incoming` for the intake. The generated servicers are not
used, because they would parse before we are asked and answer malformed bytes with `UNKNOWN`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, Literal

import grpc
import grpc.aio

from otlp_receiver.bodies import Form
from otlp_receiver.errors import MalformedError
from otlp_receiver.grpc_aio import server_of
from otlp_receiver.intake import Intake
from otlp_receiver.listening import format_address, require_bindable
from otlp_receiver.partial_success import Rejection
from otlp_receiver.settings import ReceiverSettings
from otlp_receiver.signals import ROUTES, SignalRoute
from otlp_receiver.statuses import grpc_answer, grpc_success
from telemetry import StartError

PORT_SETTING: Final = "MODELWATCH_RECEIVER__GRPC_PORT"

_EMPTY_RESPONSE: Final = b""
_FLUSH_S: Final = 1.0
_MESSAGES_AT_ONCE: Final = 16
_TURN_S: Final = 0.25

_CONNECTION_OPTIONS: Final = (
    ("grpc.max_concurrent_streams", 256),
    # Otherwise fast connections are granted ever larger windows, and fill them with messages that wait for their turn:
    # 200 of 4 MB took 1.2 GB instead of 0.6. A message that is being read gets the window that it needs all the same.
    ("grpc.http2.bdp_probe", 0),
    # Beyond the first, metadata is refused at random, ever more often up to the second, and from there on always.
    ("grpc.max_metadata_size", 16 * 1024),
    ("grpc.absolute_max_metadata_size", 32 * 1024),
    # Senders may ask whether we live, with or without a call, but not all the time.
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    ("grpc.http2.max_ping_strikes", 2),
    # We ask too: a peer that vanished without a word would hold its connection for hours.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
)

_Context = grpc.aio.ServicerContext[bytes, bytes]


class GrpcServer:
    """Serves `Export` of every signal in `ROUTES`; anything else is `UNIMPLEMENTED`."""

    def __init__(
        self,
        settings: ReceiverSettings,
        intake: Intake,
        *,
        server_credentials: grpc.ServerCredentials | None = None,
        share_ports: bool = False,
    ) -> None:
        """Keep what the start needs; `share_ports` lets other processes listen on the same port."""
        self._settings = settings
        self._intake = intake
        self._credentials = server_credentials
        self._share_ports = share_ports
        self._server: grpc.aio.Server | None = None
        self.port = 0

    async def start(self) -> None:
        """Bind the port and serve. Raises `StartError` if the port cannot be had."""
        settings = self._settings
        await require_bindable(settings.host, settings.grpc_port, PORT_SETTING, share_port=self._share_ports)
        self._server = server_of(
            _handlers(self._intake),
            [
                ("grpc.max_receive_message_length", settings.max_request_bytes),
                ("grpc.so_reuseport", int(self._share_ports)),  # on by default: others would share it silently
                ("grpc.max_allowed_incoming_connections", settings.max_connections),
                ("grpc.server_handshake_timeout_ms", round(settings.header_timeout_s * 1000)),  # two minutes by default
                *_CONNECTION_OPTIONS,
            ],
        )
        try:
            address = format_address(settings.host, settings.grpc_port)
            if self._credentials is None:
                self.port = self._server.add_insecure_port(address)
            else:
                self.port = self._server.add_secure_port(address, self._credentials)
        except RuntimeError as error:
            reason = f"cannot listen on port {settings.grpc_port}: set {PORT_SETTING}"
            if self._credentials is not None:
                reason += ", or MODELWATCH_RECEIVER__TLS_CERT_FILE to a certificate that gRPC takes"
            raise StartError(reason) from error
        await self._server.start()

    async def stop(self) -> None:
        """Take no more calls, let answers out for at most a second, and close."""
        if self._server is not None:
            await self._server.stop(_FLUSH_S)


class _Turns:
    """How many messages are read at once.

    gRPC tells the size of a message only when all of it is in memory. So messages wait in their senders' windows until
    it is their turn, or under overload each connection would put a whole one into memory before any can be refused.
    A slow one loses its turn soon, so that others do not wait for it.
    """

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(_MESSAGES_AT_ONCE)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        await self._free.acquire()
        is_over = False

        def end() -> None:
            nonlocal is_over
            if not is_over:
                is_over = True
                self._free.release()

        timer = asyncio.get_running_loop().call_later(_TURN_S, end)
        try:
            yield
        finally:
            timer.cancel()
            end()


def _handlers(intake: Intake) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
    """Return the handler of each method.

    They are declared as streaming on our side, although each call carries one message: like that the message stays
    unread until the sender's key and the room in flight are checked. On the wire, and in speed, there is no difference.
    """
    turns = _Turns()
    return {
        route.grpc_method: grpc.stream_unary_rpc_method_handler(_export_handler(intake, route, turns))
        for route in ROUTES
    }


def _export_handler(intake: Intake, route: SignalRoute, turns: _Turns) -> Callable[[Any, _Context], Any]:
    async def export(messages: Any, context: _Context) -> bytes:
        outcome = await intake.take(route, GrpcIncoming(context, turns))
        if outcome is None or isinstance(outcome, Rejection):
            return grpc_success(route, outcome)
        answer = grpc_answer(outcome)
        try:
            await context.abort(answer.code, answer.details, answer.trailers)
        except grpc.aio.AbortError:
            raise
        except grpc.aio.BaseError:
            pass  # the sender is gone, or gRPC has already answered that the message is too large
        finally:
            # gRPC keeps the exception that ends the call, that keeps this frame, and this frame would keep the call:
            # under a storm of refusals memory should not have to wait for the garbage collector.
            del messages, context, outcome
        return _EMPTY_RESPONSE

    return export


class GrpcIncoming:
    """A call as the intake sees it. gRPC itself decompresses messages and enforces the size limit on both forms."""

    transport: Literal["grpc"] = "grpc"
    form = Form()

    def __init__(self, context: _Context, turns: _Turns) -> None:
        self._context = context
        self._turns = turns

    def header(self, name: str) -> str | None:
        for key, value in self._context.invocation_metadata() or ():
            if key == name:
                return value if isinstance(value, str) else None
        return None

    async def read(self, claim_bytes: Callable[[int], None]) -> bytes:
        async with self._turns.turn():
            message = await self._context.read()
        if not isinstance(message, bytes):  # `grpc.aio.EOF`
            raise MalformedError("the call carries no message that could be read")
        claim_bytes(len(message))
        return message
