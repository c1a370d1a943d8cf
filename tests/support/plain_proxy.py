"""A proxy in front of a web server that passes on everything but WebSockets, as many in companies do."""

from __future__ import annotations

import asyncio

from tests.support.proxy import Proxy

_REFUSAL = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class PlainProxy(Proxy):
    """Forwards to a port on loopback; `refused` counts the WebSockets that were asked for."""

    def __init__(self, target_port: int) -> None:
        super().__init__(target_port)
        self.refused = 0

    async def _carry(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        # A browser asks for a WebSocket on a connection of its own.
        head = await from_client.readuntil(b"\r\n\r\n")
        if b"upgrade: websocket" in head.lower():
            self.refused += 1
            to_client.write(_REFUSAL)
            await to_client.drain()
        else:
            await self._to_server(from_client, to_client, head)
