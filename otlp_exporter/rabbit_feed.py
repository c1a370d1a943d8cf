"""Takes a target's queue at RabbitMQ to its delivery, and acknowledges each batch when nothing is left to do for it.

A connection for each target: what holds one up, such as RabbitMQ's patience with unacknowledged messages, ends there.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

import structlog
from pydantic import SecretStr

from otlp_exporter.delivery import Delivery
from otlp_exporter.settings import ExporterSettings
from rabbitmq import (
    Connection,
    ExportQueueLimits,
    Message,
    RabbitLink,
    RabbitSettings,
    Subscription,
    batch_of,
    declare_export_queue,
    declare_topology,
    drop_of,
    export_queue_of,
    waiting_in,
)
from telemetry import Counters, NowNs, PermanentError, RetryableError, StartError
from telemetry.queues import EXPORT_DROPPED_QUEUE

_log = structlog.get_logger(__name__)

_COUNT_EVERY_S: Final = 5.0
_DROPPED_PREFETCH: Final = 64


class RabbitFeed:
    """A component."""

    def __init__(
        self,
        delivery: Delivery,
        settings: ExporterSettings,
        rabbit_settings: RabbitSettings,
        url: SecretStr,
        counters: Counters,
        now_ns: NowNs = time.time_ns,
    ) -> None:
        self._delivery = delivery
        self._settings = settings
        self._rabbit_settings = rabbit_settings
        self._counters = counters
        self._now_ns = now_ns
        self.name = name = delivery.target.name
        self._queue = export_queue_of(name)
        self._link = RabbitLink(
            url,
            rabbit_settings,
            name=f"modelwatch exporter: {name}",
            set_up=self._subscribe,
            on_reconnect=lambda: counters.add("forward_reconnects", target=name),
        )
        self._subscriptions: list[Subscription] = []
        self._watch: asyncio.Task[None] | None = None
        self._waiting = 0
        counters.observe("forward_backlog_batches", lambda: self._waiting + delivery.in_hand, target=name)
        counters.observe("forward_backlog_oldest_s", self._oldest_s, target=name)

    @property
    def is_connected(self) -> bool:
        """Whether batches can arrive now; for the readiness of the role."""
        return self._link.connection is not None

    async def start(self) -> None:
        """Return when connected and consuming. Raises `StartError`."""
        await self._link.start()
        if self._watch is None:
            self._watch = asyncio.create_task(self._count_waiting(), name=f"count what waits for {self.name}")

    async def stop(self) -> None:
        """Take nothing new, give what is under way `stop_grace_s`, hand back the rest."""
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.cancel()
            await asyncio.wait({watch})
        if self._link.connection is not None:
            grace_s, answer_s = self._settings.stop_grace_s, self._rabbit_settings.stop_timeout_s
            await asyncio.gather(*(one.finish(grace_s, answer_s) for one in self._subscriptions))
        await self._link.stop()
        await self._abandon()
        await self._delivery.close()

    async def _subscribe(self, connection: Connection) -> None:
        target = self._delivery.target
        limits = ExportQueueLimits(
            target.queue_max_bytes, target.queue_max_age_s, self._settings.unused_queue_expires_s
        )
        await declare_topology(connection, self._rabbit_settings)
        pause_s = self._rabbit_settings.new_queue_pause_s
        await declare_export_queue(connection, target.name, target.signals, limits, new_queue_pause_s=pause_s)
        await self._abandon()
        # Twice as many as are under way, so that a slot never waits for RabbitMQ.
        main = Subscription(self._handle, queue=self._queue, prefetch=2 * target.max_concurrent)
        dropped = Subscription(self._count_dropped, queue=EXPORT_DROPPED_QUEUE, prefetch=_DROPPED_PREFETCH)
        self._subscriptions = [main, dropped]
        for subscription in self._subscriptions:
            await subscription.begin(connection)

    async def _abandon(self) -> None:
        """End what a lost connection left: those batches come again."""
        subscriptions, self._subscriptions = self._subscriptions, []
        await asyncio.gather(*(one.abandon() for one in subscriptions))

    async def _handle(self, message: Message) -> None:
        try:
            batch = batch_of(message, self._now_ns)
        except PermanentError as error:
            # The processors set the same message aside as a dead letter.
            _log.error("cannot forward a message", target=self.name, reason=str(error))
            self._counters.add("forward_dropped_items", target=self.name, signal="unknown", reason="unreadable")
            return
        await self._delivery.deliver(batch)

    async def _count_dropped(self, message: Message) -> None:
        """Count what the queue of any target dropped: whoever is there does it for all."""
        target, reason = drop_of(message)
        try:
            batch = batch_of(message, self._now_ns)
        except PermanentError:
            return
        signal = batch.signal.value
        self._counters.add("forward_dropped_items", batch.item_count, target=target, signal=signal, reason=reason)

    async def _count_waiting(self) -> None:
        while True:
            connection = self._link.connection
            if connection is not None:
                try:
                    async with asyncio.timeout(_COUNT_EVERY_S):
                        self._waiting = await waiting_in(connection, self._queue)
                except (RetryableError, StartError, TimeoutError):
                    pass  # the link says what is wrong; the figure stays as it was
            await asyncio.sleep(_COUNT_EVERY_S)

    def _oldest_s(self) -> float:
        """RabbitMQ hands out the oldest first, so that the oldest is in hand."""
        received_ns = self._delivery.oldest_received_ns()
        return 0.0 if received_ns is None else max(0.0, (self._now_ns() - received_ns) / 1e9)
