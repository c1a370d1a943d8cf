"""The embedded way: behind the processor's intake batches go to queues on disk, and from there to each target."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from otlp_exporter.disk_line import Record
from otlp_exporter.disk_queue import DiskQueue
from otlp_exporter.settings import ExporterSettings
from otlp_exporter.target_settings import TargetSettings
from telemetry import Batch, Consumer, Signal

_log = structlog.get_logger(__name__)

Send = Callable[[str, Record], Awaitable[bool]]
"""Returns when nothing is left to do for a target's record; `False` if its body cannot be read."""


class ForwardingConsumer:
    """Wraps a consumer. A batch is durable in both on return, and written to the queues while the consumer stores it.

    Targets get it when the consumer has it: what that refuses is withdrawn, and of what a process that ends in between
    leaves undecided the next one asks the consumer again (`disk_undecided.py`).
    """

    def __init__(self, consumer: Consumer, queue: DiskQueue, targets: Sequence[TargetSettings]) -> None:
        self._consumer = consumer
        self._queue = queue
        self._names = {
            signal: tuple(target.name for target in targets if signal in target.signals) for signal in Signal
        }

    async def consume(self, batch: Batch) -> None:
        """Take a batch. Raises what the consumer behind it raises, and for the sake of forwarding only at a stop."""
        names = self._names[batch.signal]
        if not names:
            return await self._consumer.consume(batch)
        offer = self._queue.begin(batch, names)
        try:
            await self._consumer.consume(batch)
            await self._queue.keep(offer)
        except BaseException:
            self._queue.withdraw(offer)
            raise


class DiskFeed:
    """A component: hands a target's queue to what sends, oldest first, `at_once` of it together."""

    def __init__(self, target: TargetSettings, queue: DiskQueue, settings: ExporterSettings, send: Send) -> None:
        self._send = send
        self._queue = queue
        self._settings = settings
        self._name = target.name
        # More than the delivery has under way, so that a slot of it waits for neither the disk nor this process.
        self._at_once = 3 * target.max_concurrent
        self._slots = asyncio.Semaphore(self._at_once)
        self._serving: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin with the oldest that waits."""
        if self._task is None:
            self._queue.hand_back(self._name)
            self._slots = asyncio.Semaphore(self._at_once)
            self._task = asyncio.create_task(self._run(), name=f"forward to {self._name}")

    async def stop(self) -> None:
        """Take nothing new, give what is under way `stop_grace_s`; the rest stays in the queue."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.wait({task})
        if self._serving:
            await asyncio.wait(self._serving, timeout=self._settings.stop_grace_s)
        left = list(self._serving)
        for serving in left:
            serving.cancel()
        if left:
            await asyncio.wait(left)

    async def _run(self) -> None:
        while True:
            await self._slots.acquire()
            record = await self._take()
            task = asyncio.create_task(self._serve(record), name=f"forward a batch to {self._name}")
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)

    async def _take(self) -> Record:
        arrived = self._queue.arrived[self._name]
        while (record := self._queue.take(self._name)) is None:
            arrived.clear()
            await arrived.wait()
        return record

    async def _serve(self, record: Record) -> None:
        try:
            if await self._send(self._name, record):
                self._queue.finish(self._name, record.number)
            else:
                _log.error("cannot forward what is not on the disk any more", target=self._name, number=record.number)
                self._queue.drop(self._name, record, "unreadable")
        finally:
            self._slots.release()
