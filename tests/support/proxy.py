"""What the proxies of the tests share: a port on loopback, and connections that all end when the test does."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self


class Proxy:
    """Listens on a free port and has `_carry` carry each connection to `target_port`."""

    def __init__(self, target_port: int) -> None:
        self.port = 0
        self._target_port = target_port
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
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
            await self._carry(from_client, to_client)
        except (OSError, asyncio.IncompleteReadError):
            pass  # either end may vanish, or there is no server now
        finally:
            to_client.close()
            self._writers.discard(to_client)
            self._tasks.discard(task)

    async def _carry(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        raise NotImplementedError

    async def _to_server(
        self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter, head: bytes = b""
    ) -> None:
        """Pass everything on in both directions, `head` first."""
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._target_port)
        self._writers.add(to_server)
        answers = asyncio.create_task(_forward(from_server, to_client))
        try:
            to_server.write(head)
            while data := await from_client.read(65_536):
                self._look_at(data, to_client)
                to_server.write(data)
            to_server.write_eof()
        except ConnectionError:
            pass  # either end may vanish
        finally:
            await asyncio.wait([answers])
            to_server.close()
            self._writers.discard(to_server)

    def _look_at(self, data: bytes, to_client: asyncio.StreamWriter) -> None:
        """See what the client says before it is passed on."""


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
    except ConnectionError:
        pass  # either end may vanish
    writer.close()
