"""The OTLP/gRPC server: raw bytes in, an empty message out.

One of the two ends that senders see; each call becomes an `Incoming` for the intake. The generated servicers are not
used, because they would parse before we are asked and answer malformed bytes with `UNKNOWN`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal

import grpc
import grpc.aio

from otlp_receiver.errors import MalformedError
from otlp_receiver.intake import Intake
from otlp_receiver.listening import format_address, require_bindable
from otlp_receiver.settings import ReceiverSettings
from otlp_receiver.signals import ROUTES, SignalRoute
from otlp_receiver.statuses import grpc_answer
from telemetry import StartError

PORT_SETTING: Final = "MODELWATCH_RECEIVER__GRPC_PORT"

_EMPTY_RESPONSE: Final = b""
_FLUSH_S: Final = 1.0

_Context = grpc.aio.ServicerContext[bytes, bytes]


class GrpcServer:
    """Serves `Export` of every signal in `ROUTES`; anything else is `UNIMPLEMENTED`."""

    def __init__(self, settings: ReceiverSettings, intake: Intake) -> None:
        self._settings = settings
        self._intake = intake
        self._server: grpc.aio.Server | None = None
        self.port = 0

    async def start(self) -> None:
        """Bind the port and serve. Raises `StartError` if the port cannot be had."""
        settings = self._settings
        await require_bindable(settings.host, settings.grpc_port, PORT_SETTING)
        self._server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", settings.max_request_bytes),
                ("grpc.so_reuseport", 0),  # else a second receiver would silently share the port
            ]
        )
        self._server.add_generic_rpc_handlers((_Exports(self._intake),))
        try:
            self.port = self._server.add_insecure_port(format_address(settings.host, settings.grpc_port))
        except RuntimeError as error:
            raise StartError(f"cannot listen on port {settings.grpc_port}: set {PORT_SETTING}") from error
        await self._server.start()

    async def stop(self) -> None:
        """Take no more calls, let answers out for at most a second, and close."""
        if self._server is not None:
            await self._server.stop(_FLUSH_S)


class _Exports(grpc.GenericRpcHandler):  # type: ignore[type-arg] # generic in the stubs only
    """Finds the handler of a method.

    Handlers are declared as streaming on our side, although each call carries one message: like that the message stays
    unread until the sender's key and the room in flight are checked. On the wire, and in speed, there is no difference.
    """

    def __init__(self, intake: Intake) -> None:
        self._handlers = {
            route.grpc_method: grpc.stream_unary_rpc_method_handler(_export_handler(intake, route)) for route in ROUTES
        }

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        return self._handlers.get(handler_call_details.method)


def _export_handler(intake: Intake, route: SignalRoute) -> Callable[[Any, _Context], Any]:
    async def export(messages: Any, context: _Context) -> bytes:
        failure = await intake.take(route, GrpcIncoming(context))
        if failure is None:
            return _EMPTY_RESPONSE
        answer = grpc_answer(failure)
        try:
            await context.abort(answer.code, answer.details, answer.trailers)
        except grpc.aio.AbortError:
            raise
        except grpc.aio.BaseError:
            pass  # the sender is gone, or gRPC has already answered that the message is too large
        finally:
            # gRPC keeps the exception that ends the call, that keeps this frame, and this frame would keep the call:
            # under a storm of refusals memory should not have to wait for the garbage collector.
            del messages, context, failure
        return _EMPTY_RESPONSE

    return export


class GrpcIncoming:
    """A call as the intake sees it. gRPC itself decompresses messages and enforces the size limit on both forms."""

    transport: Literal["grpc"] = "grpc"
    is_gzip = False

    def __init__(self, context: _Context) -> None:
        self._context = context

    def header(self, name: str) -> str | None:
        for key, value in self._context.invocation_metadata() or ():
            if key == name:
                return value if isinstance(value, str) else None
        return None

    async def read(self, claim_bytes: Callable[[int], None]) -> bytes:
        message = await self._context.read()
        if not isinstance(message, bytes):  # `grpc.aio.EOF`
            raise MalformedError("the call carries no message that could be read")
        claim_bytes(len(message))
        return message
