"""Publishes batches to RabbitMQ and answers for them: when `consume` returns, the broker has the batch on disk.

The receiver's consumer in the distributed size; the processor's RabbitMQ source takes the batches up again.
"""

from __future__ import annotations

import asyncio

from pydantic import SecretStr

from rabbit_exporter.settings import RabbitExporterSettings
from rabbitmq import ConfirmedPublisher, PublishLimits, RabbitSettings, message_of
from telemetry import Batch, Counters, PermanentError, RetryableError
from telemetry.queues import EXCHANGE


class RabbitExporter:
    """A component and a consumer.

    Without a connection, over its limits or after `publish_timeout_s` a batch gets `RetryableError`; it may then have
    arrived all the same, and its id tells the processor.
    """

    def __init__(self, settings: RabbitExporterSettings, publisher: ConfirmedPublisher, counters: Counters) -> None:
        self._settings = settings
        self._publisher = publisher
        self._counters = counters
        self._is_open = False
        self._in_hand = 0
        self._is_idle = asyncio.Event()
        self._is_idle.set()

    @property
    def is_connected(self) -> bool:
        """Whether RabbitMQ can be reached now; for the readiness of the role."""
        return self._is_open and self._publisher.is_connected

    async def start(self) -> None:
        """Return when connected, with the topology declared. Raises `StartError`."""
        await self._publisher.start()
        self._is_open = True

    async def stop(self) -> None:
        """Refuse what is new, wait up to `stop_grace_s` for confirms that are due, close the connection."""
        self._is_open = False
        try:
            async with asyncio.timeout(self._settings.stop_grace_s):
                await self._is_idle.wait()
        except TimeoutError:
            pass  # whoever still waits is told to try again when the connection closes
        await self._publisher.stop()

    async def consume(self, batch: Batch) -> None:
        """Publish a batch. Raises `PermanentError` when it is larger than `max_message_bytes`."""
        self._in_hand += 1
        self._is_idle.clear()
        try:
            await self._publish(batch)
        except (RetryableError, PermanentError):
            self._counters.add("exporter_failed_batches", signal=batch.signal)
            raise
        finally:
            self._in_hand -= 1
            if not self._in_hand:
                self._is_idle.set()
        self._counters.add("exporter_published_batches", signal=batch.signal)

    async def _publish(self, batch: Batch) -> None:
        if not self._is_open:
            raise RetryableError("the RabbitMQ exporter is not running")
        if len(batch.body) > self._settings.max_message_bytes:
            raise PermanentError(
                f"the request has {len(batch.body)} bytes, more than a message may have "
                f"({self._settings.max_message_bytes}): send smaller batches"
            )
        await self._publisher.publish(EXCHANGE, message_of(batch))


def build(
    settings: RabbitExporterSettings, rabbit_settings: RabbitSettings, url: SecretStr, counters: Counters
) -> RabbitExporter:
    """Return an exporter to the RabbitMQ at `url` (`amqp://` or `amqps://`), not yet started."""
    limits = PublishLimits(
        settings.max_unconfirmed_messages, settings.max_unconfirmed_bytes, settings.publish_timeout_s
    )
    publisher = ConfirmedPublisher(
        url,
        rabbit_settings,
        limits,
        name="modelwatch exporter",
        on_reconnect=lambda: counters.add("exporter_reconnects"),
    )
    return RabbitExporter(settings, publisher, counters)
