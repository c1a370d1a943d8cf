"""A TCP proxy that cuts a connection when the client said a given word: the server has it, the answer is lost."""

from __future__ import annotations

import asyncio
from types import TracebackType


class CuttingProxy:
    """Forwards to a port on loopback. Set `cut_after` to bytes; the next connection to send them is cut, once."""

    def __init__(self, target_port: int) -> None:
        self.cut_after: bytes | None = None
        self.cuts = 0
        self.port = 0
        self._target_port = target_port
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> CuttingProxy:
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
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._target_port)
        self._writers |= {to_client, to_server}
        answers = asyncio.create_task(forward(from_server, to_client))
        try:
            while data := await from_client.read(65_536):
                if self.cut_after is not None and self.cut_after in data:
                    self.cut_after = None
                    self.cuts += 1
                    to_client.transport.abort()  # answers that come now are thrown away
                to_server.write(data)
            to_server.write_eof()
        except ConnectionError:
            pass  # either end may vanish
        finally:
            await asyncio.wait([answers])
            self._writers -= {to_client, to_server}
            to_server.close()
            self._tasks.discard(task)


async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Write what is read until either end closes, then close the writer."""
    try:
        while data := await reader.read(65_536):
            writer.write(data)
    except ConnectionError:
        pass  # either end may vanish
    writer.close()
