"""Taking up what others write into the database: looked at every few seconds, by every process that honours it.

What is followed, such as changed settings, is for the rooms that know it to say.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod

import structlog

from telemetry import ModelWatchError, StartError

log = structlog.get_logger(__name__)


class Following(ABC):
    """A component. `what` says in messages what is followed, as in "the settings that were changed while running"."""

    def __init__(self, what: str, interval_s: float) -> None:
        self._what = what
        self._interval_s = interval_s
        self._looking = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return when what is there was taken up: whoever is started later begins with it. Raises `StartError`."""
        if self._task is not None:
            return
        try:
            await self.refresh()
        except ModelWatchError as error:
            raise StartError(f"{self._what} cannot be read: {error}") from error
        self._task = asyncio.create_task(self._run(), name=f"follow {self._what}")

    async def stop(self) -> None:
        """End at once."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def refresh(self) -> None:
        """Take up what was changed. Raises `StorageUnavailableError`."""
        async with self._looking:  # what was read first must not be taken up last
            await self._look()

    @abstractmethod
    async def _look(self) -> None:
        """Read what is there, and take up what is new in it; never twice at a time."""

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._interval_s)
            try:
                await self.refresh()
            except ModelWatchError as error:
                log.debug("changes not read, it will be tried again", of=self._what, reason=str(error))
            except Exception:
                log.exception("changes not read, it will be tried again", of=self._what)
