"""The way of derived metrics into the queue of one target at RabbitMQ, past the exchange that others listen to."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from pydantic import SecretStr

from rabbitmq import ConfirmedPublisher, PublishLimits, RabbitSettings, export_queue_of, message_of
from telemetry import Batch

_DEFAULT_EXCHANGE: Final = ""
_LIMITS: Final = PublishLimits(max_messages=16, max_bytes=1024**3, timeout_s=10.0)


class QueuePublisher:
    """A component; the queues are declared by whoever feeds the targets."""

    def __init__(self, url: SecretStr, settings: RabbitSettings) -> None:
        self._publisher = ConfirmedPublisher(url, settings, _LIMITS, name="modelwatch exporter: derived metrics")

    async def start(self) -> None:
        """Return when connected. Raises `StartError`."""
        await self._publisher.start()

    async def stop(self) -> None:
        """Close the connection."""
        await self._publisher.stop()

    async def hand_over(self, target: str, batch: Batch) -> None:
        """Return when the batch is safe in the target's queue. Raises as `ConfirmedPublisher.publish` does."""
        await self._publisher.publish(
            _DEFAULT_EXCHANGE, replace(message_of(batch), routing_key=export_queue_of(target))
        )
