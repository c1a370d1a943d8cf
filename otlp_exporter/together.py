"""Components that need nothing of each other: they stop at once, so that many take no longer than the slowest."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from telemetry import Component


class Together:
    """A component."""

    def __init__(self, components: Sequence[Component]) -> None:
        self._components = components

    async def start(self) -> None:
        """Start them in order. Raises `StartError`; who was started before is stopped by `stop`."""
        for component in self._components:
            await component.start()

    async def stop(self) -> None:
        """Stop all, and raise then what went wrong with any."""
        ends = await asyncio.gather(*(one.stop() for one in self._components), return_exceptions=True)
        errors = [error for error in ends if isinstance(error, Exception)]
        if errors:
            raise ExceptionGroup("failed to stop", errors)
