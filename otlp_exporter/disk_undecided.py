"""Decides what was written to the disk when a process ended before it knew whether ModelWatch itself would store it.

Each such batch is handed to the processor's intake again, which counts it once: what that takes is forwarded, what it
refuses for good never is.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

import structlog

from otlp_exporter.disk_line import Record
from otlp_exporter.disk_queue import DiskQueue
from otlp_exporter.disk_reading import read_patiently
from telemetry import Consumer, Counters, PermanentError, RetryableError

_log = structlog.get_logger(__name__)

_AT_ONCE: Final = 64
_PAUSE_MIN_S: Final = 0.2


class Deciding:
    """A component, started after the queue and the consumer."""

    def __init__(self, consumer: Consumer, queue: DiskQueue, counters: Counters) -> None:
        self._consumer = consumer
        self._queue = queue
        self._counters = counters
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin with what the queue found, beside what comes in."""
        if self._task is None and self._queue.undecided:
            self._task = asyncio.create_task(self._run(), name="decide what is to be forwarded")

    async def stop(self) -> None:
        """Leave the rest to the next start."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    async def _run(self) -> None:
        records, self._queue.undecided = self._queue.undecided, []
        _log.info("a process ended before it knew what is to be forwarded: asking again", batches=len(records))
        for first in range(0, len(records), _AT_ONCE):
            await asyncio.gather(*map(self._decide, records[first : first + _AT_ONCE]))

    async def _decide(self, record: Record) -> None:
        batch = await read_patiently(partial(self._queue.batch_of, record))
        while batch is not None:
            try:
                await self._consumer.consume(batch)
            except RetryableError as error:
                await asyncio.sleep(max(error.retry_after_s, _PAUSE_MIN_S))
            except PermanentError:
                break
            else:
                # No receiver of this process says that it took it, and the processor says that it did.
                self._counters.add("forward_asked_again_items", batch.item_count, signal=batch.signal.value)
                return self._queue.confirm(record, record.segment.names)
        # Refused, or not written to its end: nobody got an OK for it.
        return self._queue.forget(record)
