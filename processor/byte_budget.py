"""Room for so many bytes at once, given in the order of asking.

Keeps what the RabbitMQ source hands to the intake below what the intake takes: the broker limits messages by number
only, and large ones would otherwise be refused, paused over and reported as trouble with a healthy database.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class ByteBudget:
    """At most `limit_bytes` in use at once, except that something larger than that has the room to itself."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._in_use = 0
        self._turn = asyncio.Lock()  # wakes in the order of asking, so that nothing large waits for ever
        self._freed = asyncio.Event()

    @asynccontextmanager
    async def room_for(self, size: int) -> AsyncIterator[None]:
        """Wait until there is room for `size` bytes, and hold it while the context lasts."""
        async with self._turn:
            while self._in_use and self._in_use + size > self._limit_bytes:
                self._freed.clear()
                await self._freed.wait()
            self._in_use += size
        try:
            yield
        finally:
            self._in_use -= size
            self._freed.set()
