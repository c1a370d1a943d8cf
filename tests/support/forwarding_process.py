"""A process that queues batches to be forwarded and says which it has an OK for, to be killed at any time.

Run as `python -m tests.support.forwarding_process FOLDER FIRST`: it prints a number for each batch that is safe.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
from pathlib import Path

from otlp_exporter.disk_feed import ForwardingConsumer
from otlp_exporter.disk_queue import DiskQueue
from otlp_exporter.target_settings import TargetSettings
from telemetry import Batch, Counters
from tests.support.doubles import RecordingConsumer
from tests.support.rabbit import batch_number

TARGET = TargetSettings.model_validate({"name": "a", "endpoint": "http://localhost:1"})
_AT_ONCE = 8


async def run(folder: Path, first: int) -> None:
    """Offer batches, numbered from `first`, for ever."""
    queue = DiskQueue(folder, [TARGET], Counters())
    await queue.start()
    consumer = ForwardingConsumer(RecordingConsumer(), queue, [TARGET])
    numbers = itertools.count(first)

    async def offer() -> None:
        for number in numbers:
            made = batch_number(number)
            await consumer.consume(Batch.of(made.signal, made.body, item_count=1, received_unix_nano=time.time_ns()))
            print(number, flush=True)

    await asyncio.gather(*(offer() for _ in range(_AT_ONCE)))


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1]), int(sys.argv[2])))
