"""The two protocols that rooms meet in: what runs, and what takes data.

`modelwatch/` starts components downstream first and stops them in reverse; data passes from consumer to consumer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from telemetry.batch import Batch

NowNs = Callable[[], int]
"""A clock: Unix time in nanoseconds. Injected, so that tests own time; `time.time_ns` in production."""


class Component(Protocol):
    """Something with a lifecycle. `start` after `stop` starts it again."""

    async def start(self) -> None:
        """Return when ready: port bound, queue declared, schema current. Raises `StartError` if that cannot be."""
        ...

    async def stop(self) -> None:
        """Take nothing new, finish or hand back what is in hand, in bounded time. Idempotent."""
        ...


class Consumer(Protocol):
    """The next stage for a batch."""

    async def consume(self, batch: Batch) -> None:
        """Return once the batch is durable at the next stage.

        Raises `RetryableError` when nothing was kept and the sender may ask again, `PermanentError` when it must not.
        """
        ...
