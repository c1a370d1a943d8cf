"""uvicorn as a component: own socket, no signal handlers, bounded stop.

Runs the app of pages and API, or the health app of a role without them.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import socket
from collections.abc import Callable, Iterator
from typing import Any, Final

import structlog
import uvicorn

from api.tls import TlsFiles
from telemetry import StartError

_START_TIMEOUT_S: Final = 30.0
_EXTRA_STOP_S: Final = 2.0
"""What a stop may take beyond its grace: uvicorn's own ticks and the app's shutdown."""
_LONGEST_MESSAGE_BYTES: Final = 131_072
"""Of a WebSocket, from a client; each of those has its own limit, which is not larger."""

_log = structlog.get_logger(__name__)


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to whoever runs the process; uvicorn would raise them again after its shutdown."""
        yield


class WebServer:
    """Serves an ASGI app on `host` and `port` (0 takes a free one); `.port` is the one bound after `start`.

    `port_setting` is the name of the port's setting, which errors mention; settings of the same section are expected
    beside it, such as `..._HOST` and `..._ALLOW_UNAUTHENTICATED` beside `..._PORT`. An address off loopback is refused
    unless `allow_unauthenticated`, since there is no login. With `tls` nothing else than TLS is spoken.
    """

    def __init__(
        self,
        app: Callable[..., Any],
        host: str,
        port: int,
        port_setting: str,
        *,
        allow_unauthenticated: bool = False,
        shutdown_s: int = 3,
        tls: TlsFiles | None = None,
    ) -> None:
        self._app = app
        self._host = host
        self._asked_port = port
        self._port_setting = port_setting
        self._section = port_setting.removesuffix("PORT")
        self._allow_unauthenticated = allow_unauthenticated
        self._shutdown_s = shutdown_s
        self._tls = tls
        self._running: tuple[_Server, asyncio.Task[None]] | None = None
        self.port = port

    async def start(self) -> None:
        """Return when requests are answered. Raises `StartError` when the address is refused or taken."""
        if self._running is not None:
            return
        context = self._tls.context() if self._tls else None
        listener = self._bind()
        self.port = listener.getsockname()[1]
        config = uvicorn.Config(
            self._app,
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            # What is sent to pages is compressed once for all of them; what they send is small.
            ws_per_message_deflate=False,
            ws_max_size=_LONGEST_MESSAGE_BYTES,
            timeout_graceful_shutdown=self._shutdown_s,
            ssl_context_factory=(lambda _config, _default: context) if context else None,
        )
        server = _Server(config)
        task = asyncio.create_task(self._serve(server, listener), name=f"web server on port {self.port}")
        self._running = (server, task)
        try:
            await self._wait_until_started(server, task)
        except BaseException:
            # Also when a signal ends the start: requests may be answered already, so it ends as every stop does.
            await self.stop()
            listener.close()
            raise

    async def stop(self) -> None:
        """Stop listening, give open requests `shutdown_s` seconds, then close whatever is left. Idempotent."""
        if self._running is None:
            return
        (server, task), self._running = self._running, None
        server.should_exit = True
        await asyncio.wait({task}, timeout=self._shutdown_s + _EXTRA_STOP_S)
        await _end(task)
        for connection in list(server.server_state.connections):
            _abort(connection)

    async def _serve(self, server: _Server, listener: socket.socket) -> None:
        try:
            await server.serve(sockets=[listener])
        except SystemExit:
            # uvicorn's way of saying that the app's own start failed, which it has logged.
            raise StartError("the web application did not start: the log says why") from None

    async def _wait_until_started(self, server: _Server, task: asyncio.Task[None]) -> None:
        deadline = asyncio.get_running_loop().time() + _START_TIMEOUT_S
        while not server.started:
            await asyncio.wait({task}, timeout=0.01)
            if task.done():
                await task
            if task.done() or asyncio.get_running_loop().time() > deadline:
                raise StartError(f"the web server on port {self.port} did not start: the log says why")

    def _bind(self) -> socket.socket:
        if not self._allow_unauthenticated and not _is_loopback(self._host):
            raise StartError(
                f"{self._host} is not loopback and there is no login: set {self._section}HOST=127.0.0.1, or "
                f"{self._section}ALLOW_UNAUTHENTICATED=true if something in front checks who comes in"
            )
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(
                self._host, self._asked_port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
        except OSError as error:
            raise StartError(f"{self._host} is no address to listen on: set {self._section}HOST") from error
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
            listener.listen(2_048)
            listener.setblocking(False)
        except OSError as error:
            listener.close()
            raise StartError(self._explanation(error)) from error
        return listener

    def _explanation(self, error: OSError) -> str:
        if error.errno == errno.EADDRINUSE:
            return f"port {self._asked_port} is taken: set {self._port_setting}"
        where = f"{self._host}:{self._asked_port}"
        return f"cannot listen on {where} ({error.strerror}): set {self._section}HOST or {self._port_setting}"


async def _end(task: asyncio.Task[None]) -> None:
    """Cancel the task unless it is done, and take what it raised."""
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        pass
    except Exception as error:
        _log.error("web server failed", error=str(error))


def _abort(connection: Any) -> None:
    """Close a connection that outlived the stop, such as a WebSocket whose client does not answer the close."""
    transport = getattr(connection, "transport", None)
    if transport is not None:
        transport.abort()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
