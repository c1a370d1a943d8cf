"""A proxy in front of a web server that passes on everything but WebSockets, as many in companies do."""

from __future__ import annotations

import asyncio
from types import TracebackType

from tests.support.cutting_proxy import forward

_REFUSAL = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class PlainProxy:
    """Forwards to a port on loopback; `refused` counts the WebSockets that were asked for."""

    def __init__(self, target_port: int) -> None:
        self.refused = 0
        self.port = 0
        self._target_port = target_port
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> PlainProxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for writer in list(self._writers):
            writer.close()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _serve(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(to_client)
        try:
            # A browser asks for a WebSocket on a connection of its own.
            head = await from_client.readuntil(b"\r\n\r\n")
            if b"upgrade: websocket" in head.lower():
                self.refused += 1
                to_client.write(_REFUSAL)
                await to_client.drain()
            else:
                await self._pass_on(head, from_client, to_client)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # either end may vanish
        finally:
            to_client.close()
            self._writers.discard(to_client)
            self._tasks.discard(task)

    async def _pass_on(self, head: bytes, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._target_port)
        self._writers.add(to_server)
        answers = asyncio.create_task(forward(from_server, to_client))
        try:
            to_server.write(head)
            while data := await from_client.read(65_536):
                to_server.write(data)
            to_server.write_eof()
        except ConnectionError:
            pass  # either end may vanish
        finally:
            await asyncio.wait([answers])
            to_server.close()
            self._writers.discard(to_server)
