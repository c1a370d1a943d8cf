"""grpc.aio's server, kept alive when somebody calls a method whose name is not UTF-8.

Beneath `grpc_server`. grpcio decodes the names of the methods that are called in the loop that takes the calls in, and
an error there ends the loop and closes the port for good (as of 1.85): one call would do, of anybody who reaches it.
Names of methods that were registered are not decoded, as gRPC's core tells them apart by itself; so all other calls are
kept from the loop and answered here. That takes grpcio's own inner parts, and `pyproject.toml` names its version.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

import grpc
import grpc.aio
from grpc._cython import cygrpc
from grpc.aio._server import Server

_NAME: Final = "unknown"
"""What unknown methods are called where grpcio wants a name."""


def server_of(
    handlers: Mapping[str, grpc.RpcMethodHandler[Any, Any]], options: Sequence[tuple[str, Any]]
) -> grpc.aio.Server:
    """Return a server of these methods, by their full names; all others are `UNIMPLEMENTED`."""
    server: grpc.aio.Server = _Server(handlers, options)  # type: ignore[assignment]  # the stubs lack what it is
    return server


class _Server(Server):
    """A `grpc.aio.Server` around `_Calls`."""

    def __init__(
        self, handlers: Mapping[str, grpc.RpcMethodHandler[Any, Any]], options: Sequence[tuple[str, Any]]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._server = _Calls(self._loop, None, (), (), tuple(options), None)
        self._server.add_registered_method_handlers(dict(handlers))


class _Calls(cygrpc.AioServer):  # type: ignore[misc]  # has no types
    """Takes in calls to registered methods, and answers all others by itself."""

    def _make_request_call_future(self, method: bytes | None) -> asyncio.Future[Any]:
        """Return the next call to `method`; for `None`, which stands for all others, a future that never has one."""
        if method is None:
            return asyncio.get_running_loop().create_task(self._answer_others())
        call: asyncio.Future[Any] = super()._make_request_call_future(method)
        return call

    async def _answer_others(self) -> None:
        """Answer calls to unknown methods until the server stops, which raises."""
        loop = asyncio.get_running_loop()
        no_methods = cygrpc._MethodResolver([], {})
        answers = set[asyncio.Task[None]]()
        while True:
            call = await self._request_call()
            answer = cygrpc._handle_rpc(_NAME, no_methods, (), call, loop, False)
            task = loop.create_task(cygrpc._schedule_rpc_coro(answer, call, loop, _NAME))
            answers.add(task)
            task.add_done_callback(answers.discard)
