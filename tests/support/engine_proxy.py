"""A small proxy before a Docker engine that lets nothing but GET through, as people put before the socket."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator

READABLE = rb"GET (?:/v[0-9.]+)?/(?:version|_ping|events|containers)\b.* HTTP/1\.1\r\n"


class EngineProxy:
    """`requests` has the first line of each request."""

    def __init__(self, socket: str) -> None:
        self.requests: list[str] = []
        self.url = ""
        self._socket = socket
        self._handlers: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry the requests of one connection, each over a connection of its own to the engine."""
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self._serve(reader, writer)
        except asyncio.CancelledError:
            pass
        finally:
            self._handlers.discard(task)
            writer.close()

    async def close(self) -> None:
        """Close all connections."""
        handlers = list(self._handlers)
        for handler in handlers:
            handler.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        line, _, rest = head.partition(b"\r\n")
        self.requests.append(line.decode())
        if not re.match(READABLE, line + b"\r\n"):
            writer.write(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            await writer.drain()
            return
        from_engine, to_engine = await asyncio.open_unix_connection(self._socket)
        try:
            rest = re.sub(rb"(?i)\r\nconnection:[^\r\n]*", b"", b"\r\n" + rest)
            to_engine.write(line + b"\r\nconnection: close" + rest)
            while piece := await from_engine.read(65536):
                writer.write(piece)
                await writer.drain()
        finally:
            to_engine.close()


@contextlib.asynccontextmanager
async def running_engine_proxy(socket: str) -> AsyncIterator[EngineProxy]:
    """Serve on a free port of loopback until the block ends."""
    proxy = EngineProxy(socket)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.url = f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()
        await server.wait_closed()
