"""A TCP proxy that cuts a connection when the client said a given word: the server has it, the answer is lost."""

from __future__ import annotations

import asyncio

from tests.support.proxy import Proxy


class CuttingProxy(Proxy):
    """Forwards to a port on loopback. Set `cut_after` to bytes; the next connection to send them is cut, once."""

    def __init__(self, target_port: int) -> None:
        super().__init__(target_port)
        self.cut_after: bytes | None = None
        self.cuts = 0

    async def _carry(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        await self._to_server(from_client, to_client)

    def _look_at(self, data: bytes, to_client: asyncio.StreamWriter) -> None:
        if self.cut_after is not None and self.cut_after in data:
            self.cut_after = None
            self.cuts += 1
            to_client.transport.abort()  # answers that come now are thrown away
