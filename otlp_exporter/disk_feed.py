"""The embedded way: behind the processor's intake batches go to queues on disk, and from there to each target."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import structlog

from otlp_exporter.disk_queue import DiskQueue
from otlp_exporter.disk_tables import Entry
from otlp_exporter.settings import ExporterSettings
from otlp_exporter.target_settings import TargetSettings
from telemetry import Batch, Consumer

_log = structlog.get_logger(__name__)

_RETRY_READ_S: Final = 1.0

Send = Callable[[str, Entry], Awaitable[bool]]
"""Returns when nothing is left to do for a target's entry; `False` if its body cannot be read."""


class ForwardingConsumer:
    """Wraps a consumer. A batch is offered to the queues when the consumer has it, and durable in both on return.

    In that order: a batch that the consumer refuses, or a process that ends in between, is sent again by its sender,
    and counts once there; the other way round it would be forwarded twice as well.
    """

    def __init__(self, consumer: Consumer, queue: DiskQueue, targets: Sequence[TargetSettings]) -> None:
        self._consumer = consumer
        self._queue = queue
        self._targets = targets

    async def consume(self, batch: Batch) -> None:
        """Take a batch. Raises what the consumer behind it raises, and for the sake of forwarding only at a stop."""
        await self._consumer.consume(batch)
        names = [target.name for target in self._targets if batch.signal in target.signals]
        if names:
            await self._queue.offer(batch, names)


class DiskFeed:
    """A component: hands a target's queue to what sends, oldest first, `at_once` of it together."""

    def __init__(self, target: TargetSettings, queue: DiskQueue, settings: ExporterSettings, send: Send) -> None:
        self._at_once = 2 * target.max_concurrent  # so that a slot of the delivery never waits for the disk
        self._send = send
        self._queue = queue
        self._settings = settings
        self._name = target.name
        self._read_to = 0
        self._next: deque[Entry] = deque()
        self._slots = asyncio.Semaphore(self._at_once)
        self._serving: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin with the oldest that waits."""
        if self._task is None:
            self._read_to = 0
            self._next.clear()
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
            entry = await self._take()
            task = asyncio.create_task(self._serve(entry), name=f"forward a batch to {self._name}")
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)

    async def _take(self) -> Entry:
        arrived = self._queue.arrived[self._name]
        while not self._next:
            arrived.clear()
            try:
                found = await self._queue.read(self._name, self._read_to, self._at_once)
            except Exception:
                _log.exception("cannot read what is to be forwarded", target=self._name)
                await asyncio.sleep(_RETRY_READ_S)
                continue
            if found:
                self._next.extend(found)
                self._read_to = found[-1].number
            else:
                await arrived.wait()
        return self._next.popleft()

    async def _serve(self, entry: Entry) -> None:
        try:
            if await self._send(self._name, entry):
                self._queue.finish(self._name, entry.number)
            else:
                _log.error("cannot forward what is not on the disk any more", target=self._name, number=entry.number)
                self._queue.drop(self._name, entry, "unreadable")
        finally:
            self._slots.release()
