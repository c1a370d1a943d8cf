"""How much waits in RabbitMQ, for a processor and among the dead letters, read every few seconds as gauges.

Runs beside the RabbitMQ source, on a channel of its own over the source's connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from rabbitmq import Connection
from telemetry import Counters, ModelWatchError
from telemetry.counters import GaugeName
from telemetry.queues import DEAD_LETTER_QUEUE, PROCESSOR_QUEUE

log = structlog.get_logger(__name__)

_GAUGES: Final[dict[str, GaugeName]] = {
    PROCESSOR_QUEUE: "rabbit_queue_batches",
    DEAD_LETTER_QUEUE: "rabbit_dead_letters",
}
_ANSWER_TIMEOUT_S: Final = 5.0


class QueueDepth:
    """A component. While RabbitMQ does not answer, the gauges keep what they read last."""

    def __init__(self, connection: Callable[[], Connection | None], interval_s: float, counters: Counters) -> None:
        self._connection = connection
        self._interval_s = interval_s
        self._waiting = dict.fromkeys(_GAUGES, 0)
        self._task: asyncio.Task[None] | None = None
        for queue, gauge in _GAUGES.items():
            counters.observe(gauge, lambda queue=queue: self._waiting[queue])  # type: ignore[misc]
        counters.observe("rabbit_source_connected", lambda: int(connection() is not None))

    async def start(self) -> None:
        """Begin to look."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="depth of the queue")

    async def stop(self) -> None:
        """End at once."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _run(self) -> None:
        while True:
            connection = self._connection()
            if connection is not None:
                try:
                    async with asyncio.timeout(_ANSWER_TIMEOUT_S):
                        await self._look(connection)
                except (TimeoutError, ModelWatchError) as error:
                    log.debug("depth of the queue not read", reason=str(error))
                except Exception:
                    log.exception("depth of the queue not read")
            await asyncio.sleep(self._interval_s)

    async def _look(self, connection: Connection) -> None:
        channel = await connection.channel(is_vital=False)
        try:
            for queue in _GAUGES:
                declared = await channel.call(channel.raw.queue_declare, queue, passive=True)
                self._waiting[queue] = int(declared.method.message_count)
        finally:
            await channel.close()
