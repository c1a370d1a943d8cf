"""The OTLP/HTTP server: uvicorn, run inside the receiver's own event loop.

Carries `http_app`. uvicorn is kept from what belongs to the process: signals, logging set-up, exits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from socket import socket
from typing import Final

import uvicorn

from otlp_receiver.http_app import HttpApp
from otlp_receiver.intake import Intake
from otlp_receiver.listening import bound_socket
from otlp_receiver.settings import ReceiverSettings

PORT_SETTING: Final = "MODELWATCH_RECEIVER__HTTP_PORT"

_FLUSH_S: Final = 1


class HttpServer:
    """Serves `HttpApp` on the configured port."""

    def __init__(self, settings: ReceiverSettings, intake: Intake, *, share_ports: bool = False) -> None:
        self._settings = settings
        self._intake = intake
        self._share_ports = share_ports
        self._server: _GuestServer | None = None
        self._serving: asyncio.Task[None] | None = None
        self.port = 0

    async def start(self) -> None:
        """Bind the port and serve. Raises `StartError` if the port cannot be had."""
        settings = self._settings
        listener = await bound_socket(settings.host, settings.http_port, PORT_SETTING, share_port=self._share_ports)
        self.port = listener.getsockname()[1]
        self._server = _GuestServer(_config(HttpApp(self._intake, settings.max_request_bytes), settings))
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]), name="otlp-http")
        await self._server.has_started.wait()

    async def stop(self) -> None:
        """Accept no more connections, let answers out for at most a second, and close."""
        if self._server is None or self._serving is None:
            return
        self._server.should_exit = True
        await self._serving
        # uvicorn cancels requests that are not over, but leaves without waiting for them.
        await asyncio.gather(*self._server.server_state.tasks, return_exceptions=True)


class _GuestServer(uvicorn.Server):
    """uvicorn as a guest in somebody else's loop: tells when it has started, leaves signals alone."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.has_started = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket] | None = None) -> None:
        await super().startup(sockets)
        self.has_started.set()


def _config(app: HttpApp, settings: ReceiverSettings) -> uvicorn.Config:
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
