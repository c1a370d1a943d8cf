"""How far behind this processor is: the age of what it has in hand, told to whoever reads the database.

Wrapped around the intake, so that it sees every batch come and go; a task of its own notes it every few seconds.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from typing import Final

import structlog

from processor.settings import ProcessorSettings
from storage.ingest_progress import IngestProgress, Progress
from telemetry import Batch, Consumer, ModelWatchError, NowNs

log = structlog.get_logger(__name__)

_NS_PER_MS: Final = 1_000_000
_WRITER_BITS: Final = 63


def never_in_trouble() -> str:
    """Say that batches come."""
    return ""


class ProgressReport:
    """Consumer and component. `trouble` says why no batch can come, or is empty."""

    def __init__(
        self,
        settings: ProcessorSettings,
        consumer: Consumer,
        progress: IngestProgress,
        now_ns: NowNs = time.time_ns,
        trouble: Callable[[], str] = never_in_trouble,
    ) -> None:
        self._settings = settings
        self._consumer = consumer
        self._progress = progress
        self._now_ns = now_ns
        self.trouble = trouble
        self._writer = secrets.randbits(_WRITER_BITS)
        self._beat = 0
        self._in_hand: dict[object, int] = {}
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Note that this processor is there, and go on doing so."""
        if self._task is None:
            await self._note()
            self._task = asyncio.create_task(self._run(), name="progress of the processor")

    async def stop(self) -> None:
        """Say no more, and be forgotten."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.wait([task])
        try:
            await self._progress.remove(self._writer, self._now_ns() // _NS_PER_MS)
        except ModelWatchError as error:
            log.debug("progress not removed", reason=str(error))

    async def consume(self, batch: Batch) -> None:
        """Hand a batch on, and know that it is in hand until that is over."""
        token = object()
        self._in_hand[token] = batch.received_unix_nano
        try:
            await self._consumer.consume(batch)
        finally:
            del self._in_hand[token]

    @property
    def lag_ms(self) -> int:
        """The age of the oldest batch in hand since it was received, in milliseconds; 0 without any."""
        oldest_ns = min(self._in_hand.values(), default=None)
        return 0 if oldest_ns is None else max(self._now_ns() - oldest_ns, 0) // _NS_PER_MS

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._settings.progress_interval_s)
            await self._note()

    async def _note(self) -> None:
        self._beat += 1
        noted = Progress(self._writer, self._beat, self._now_ns() // _NS_PER_MS, self.lag_ms, self.trouble())
        try:
            await self._progress.put(noted)
        except ModelWatchError as error:
            log.debug("progress not noted", reason=str(error))
        except Exception:
            log.exception("progress not noted")
