"""The OTLP/HTTP server: uvicorn, run inside the receiver's own event loop.

Carries `http_app`. uvicorn is kept from what belongs to the process: signals, logging set-up, exits.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from socket import socket
from typing import Final

import uvicorn

from otlp_receiver.cors import Cors
from otlp_receiver.http_app import HttpApp
from otlp_receiver.http_connections import BoundedHttpProtocol, OpenConnections
from otlp_receiver.intake import Intake
from otlp_receiver.listening import bound_socket
from otlp_receiver.settings import ReceiverSettings
from telemetry import Counters

PORT_SETTING: Final = "MODELWATCH_RECEIVER__HTTP_PORT"

_FLUSH_S: Final = 1


class HttpServer:
    """Serves `HttpApp` on the configured port."""

    def __init__(
        self,
        settings: ReceiverSettings,
        intake: Intake,
        counters: Counters,
        *,
        ssl_context: ssl.SSLContext | None = None,
        share_ports: bool = False,
    ) -> None:
        """Keep what the start needs; `share_ports` lets other processes listen on the same port."""
        self._settings = settings
        self._intake = intake
        self._counters = counters
        self._ssl_context = ssl_context
        self._share_ports = share_ports
        self._server: _GuestServer | None = None
        self._serving: asyncio.Task[None] | None = None
        self.port = 0

    async def start(self) -> None:
        """Bind the port and serve. Raises `StartError` if the port cannot be had."""
        settings = self._settings
        listener = await bound_socket(settings.host, settings.http_port, PORT_SETTING, share_port=self._share_ports)
        self.port = listener.getsockname()[1]
        app: HttpApp | Cors = HttpApp(self._intake, settings.max_request_bytes)
        if settings.cors_allowed_origins:
            app = Cors(app, settings)
        config = _config(app, settings)
        self._server = _GuestServer(config)
        self._server.servers = [await self._listen(listener, config, self._server.server_state)]
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]), name="otlp-http")

    async def stop(self) -> None:
        """Accept no more connections, let answers out for at most a second, and close."""
        if self._server is None or self._serving is None:
            return
        self._server.should_exit = True
        await self._serving
        # uvicorn cancels requests that are not over, but leaves without waiting for them.
        await asyncio.gather(*self._server.server_state.tasks, return_exceptions=True)

    async def _listen(
        self, listener: socket, config: uvicorn.Config, state: uvicorn.server.ServerState
    ) -> asyncio.Server:
        settings, counters, open_connections = self._settings, self._counters, OpenConnections()
        config.load()
        return await asyncio.get_running_loop().create_server(
            lambda: BoundedHttpProtocol(config, state, settings, counters, open_connections),
            sock=listener,
            backlog=config.backlog,
            ssl=self._ssl_context,
            # uvicorn would give a stranger a minute for this.
            ssl_handshake_timeout=settings.header_timeout_s if self._ssl_context else None,
        )


class _GuestServer(uvicorn.Server):
    """uvicorn as a guest in somebody else's loop, on a socket that is listened on already; leaves signals alone."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket] | None = None) -> None:
        self.started = True


def _config(app: HttpApp | Cors, settings: ReceiverSettings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=_FLUSH_S,
    )
