"""Any number of attempts together, or a single one while nothing else is at work.

Used by `trials`: of what a process dies alone, it dies for a reason.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Isolation:
    """Whoever wants to be alone comes before all who do not, in the order of asking."""

    def __init__(self) -> None:
        self._company = 0
        self._company_left = asyncio.Event()
        self._company_left.set()
        self._loners = 0  # the one at work and those that wait for their turn
        self._loners_left = asyncio.Event()
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def together(self) -> AsyncIterator[None]:
        """Wait until nobody is or wants to be alone, and be at work while the context lasts."""
        while self._loners:
            await self._loners_left.wait()
        self._company += 1
        self._company_left.clear()
        try:
            yield
        finally:
            self._company -= 1
            if not self._company:
                self._company_left.set()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Wait until nobody else is at work, and keep everybody from it while the context lasts."""
        self._loners += 1
        self._loners_left.clear()
        try:
            async with self._turn:
                await self._company_left.wait()
                yield
        finally:
            self._loners -= 1
            if not self._loners:
                self._loners_left.set()
