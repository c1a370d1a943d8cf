"""A TCP proxy that tears connections after random numbers of bytes: in a handshake, in a frame, before an answer."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import Sequence
from enum import Enum, auto
from types import TracebackType

from tests.support.proxy import Proxy

_CHUNK_BYTES = 65_536


class Manner(Enum):
    """How a connection ends."""

    RESET = auto()
    CLOSE = auto()
    SILENCE = auto()
    """Both ends stay open and hear nothing more, as after a cable was pulled."""


class _TornError(Exception):
    """The connection's bytes are used up."""


class _Pair:
    """One connection on its two sides, with the bytes that it may still carry one way, and how it ends then."""

    def __init__(self, to_client: asyncio.StreamWriter, to_server: asyncio.StreamWriter) -> None:
        self.to_client = to_client
        self.to_server = to_server
        self.doomed: asyncio.StreamWriter | None = None
        self.left_bytes = 0
        self.manner = Manner.CLOSE

    def end(self) -> None:
        for writer in (self.to_client, self.to_server):
            if self.manner is Manner.RESET:
                raw = writer.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
            else:
                writer.close()


class TearingProxy(Proxy):
    """Forwards to a port on loopback, and tears every connection between `arm` and `disarm`, old and new."""

    def __init__(self, target_port: int, chance: random.Random) -> None:
        super().__init__(target_port)
        self.tears = 0
        self._chance = chance
        self._plan: tuple[int, int, Sequence[Manner]] | None = None
        self._pairs: set[_Pair] = set()
        self._is_closed = asyncio.Event()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_closed.set()
        for pair in list(self._pairs):
            pair.end()
        await super().__aexit__(kind, error, traceback)

    def arm(
        self, to_server_bytes: int, to_client_bytes: int, manners: Sequence[Manner] = (Manner.RESET, Manner.CLOSE)
    ) -> None:
        """Let each connection carry at most so much more in one direction, and then end in one of these manners."""
        self._plan = (to_server_bytes, to_client_bytes, manners)
        for pair in self._pairs:
            self._doom(pair)

    def disarm(self) -> None:
        """Let everything pass again. Connections that were torn stay torn."""
        self._plan = None
        for pair in self._pairs:
            pair.doomed = None

    def _doom(self, pair: _Pair) -> None:
        if self._plan is not None:
            to_server_bytes, to_client_bytes, manners = self._plan
            pair.doomed = self._chance.choice([pair.to_client, pair.to_server])
            most_bytes = to_client_bytes if pair.doomed is pair.to_client else to_server_bytes
            pair.left_bytes = self._chance.randint(0, most_bytes)
            pair.manner = self._chance.choice(manners)

    async def _carry(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._target_port)
        pair = _Pair(to_client, to_server)
        self._doom(pair)
        self._pairs.add(pair)
        ways = {
            asyncio.create_task(self._forward(pair, from_client, to_server)),
            asyncio.create_task(self._forward(pair, from_server, to_client)),
        }
        try:
            done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            is_torn = any(isinstance(way.exception(), _TornError) for way in done)
            self.tears += is_torn
            if is_torn and pair.manner is Manner.SILENCE:
                await _end_all(ways)
                await self._is_closed.wait()
        finally:
            await _end_all(ways)
            self._pairs.discard(pair)
            pair.end()

    async def _forward(self, pair: _Pair, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(_CHUNK_BYTES):
                if pair.doomed is writer:
                    data, is_last = data[: pair.left_bytes], len(data) >= pair.left_bytes
                    pair.left_bytes -= len(data)
                else:
                    is_last = False
                writer.write(data)
                await writer.drain()
                if is_last:
                    raise _TornError
        except ConnectionError:
            pass  # either end may vanish


async def _end_all(tasks: set[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
