"""Sends what waits on disk within this process, as `remote_sending.py` does in another: the same face, less memory."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from otlp_exporter.delivery import Delivery
from otlp_exporter.disk_line import Record
from otlp_exporter.disk_queue import DiskQueue
from otlp_exporter.disk_reading import read_patiently


class LocalSending:
    """A component, started before the feeds that use it."""

    def __init__(self, deliveries: Sequence[Delivery], queue: DiskQueue) -> None:
        self._deliveries = {delivery.target.name: delivery for delivery in deliveries}
        self._queue = queue

    async def start(self) -> None:
        """Do nothing: connections are made when they are needed."""

    async def stop(self) -> None:
        """Close the connections to all targets."""
        for delivery in self._deliveries.values():
            await delivery.close()

    async def send(self, target: str, record: Record) -> bool:
        """Return when nothing is left to do for a record; `False` if its body cannot be read."""
        batch = await read_patiently(partial(self._queue.batch_of, record))
        if batch is None:
            return False
        await self._deliveries[target].deliver(batch)
        return True
