"""Takes batches from RabbitMQ to the intake, and acknowledges each after it was stored.

The processor's way in in the distributed size; embedded, the receiver calls the intake directly.

A message is acknowledged when it is stored or confirmed as a dead letter, and never given back to be delivered again at
once: what cannot be stored now is held, unacknowledged, and tried again here, so that the prefetch limit stops the flow
while storage is down. A worker that dies gives back all that it held; batch ids keep the repetition from counting, and
`trials` keeps a message that it died of from ending one worker after the other.
"""

from __future__ import annotations

import asyncio
import time

import structlog
from pydantic import SecretStr

from processor.byte_budget import ByteBudget
from processor.rabbit_source_settings import RabbitSourceSettings
from processor.trials import Trials
from rabbitmq import (
    ConfirmedPublisher,
    Connection,
    Message,
    PublishLimits,
    RabbitLink,
    RabbitSettings,
    Subscription,
    batch_of,
    dead_letter_of,
    declare_topology,
    pause_s,
)
from storage.ports import Attempts
from telemetry import Consumer, Counters, NowNs, PermanentError, RetryableError
from telemetry.queues import DEAD_LETTER_EXCHANGE, PROCESSOR_QUEUE

_log = structlog.get_logger(__name__)

# Dead letters are rare; where they are not, they wait their turn rather than fill memory.
_DEAD_LETTER_MAX_BYTES = 64 * 1024**2


class RabbitSource:
    """A component. Hands batches to `consumer` side by side, up to `prefetch` at once and in no order."""

    def __init__(
        self,
        settings: RabbitSourceSettings,
        rabbit_settings: RabbitSettings,
        url: SecretStr,
        consumer: Consumer,
        attempts: Attempts,
        counters: Counters,
        now_ns: NowNs = time.time_ns,
    ) -> None:
        self._settings = settings
        self._rabbit_settings = rabbit_settings
        self._consumer = consumer
        self._counters = counters
        self._now_ns = now_ns
        self._trials = Trials(settings, attempts, counters)
        self._budget = ByteBudget(settings.max_in_hand_bytes)
        limits = PublishLimits(settings.prefetch, _DEAD_LETTER_MAX_BYTES, settings.dead_letter_timeout_s)
        self._dead_letters = ConfirmedPublisher(url, rabbit_settings, limits, name="modelwatch dead letters")
        self._link = RabbitLink(
            url, rabbit_settings, name="modelwatch source", set_up=self._subscribe, on_reconnect=self._count_reconnect
        )
        self._subscription: Subscription | None = None
        self._held: set[int] = set()

    @property
    def is_connected(self) -> bool:
        """Whether messages can arrive now; for the readiness of the role."""
        return self._link.connection is not None

    def connection(self) -> Connection | None:
        """Return the connection as long as it is open, for questions beside the work."""
        return self._link.connection

    async def start(self) -> None:
        """Return when connected and consuming. Raises `StartError`."""
        await self._dead_letters.start()
        try:
            await self._link.start()
        except BaseException:
            await self._dead_letters.stop()
            raise

    async def stop(self) -> None:
        """Take nothing new, give what is in hand `stop_grace_s`, acknowledge what was stored, hand back the rest."""
        if self._subscription is not None and self._link.connection is not None:
            left = await self._subscription.finish(self._settings.stop_grace_s, self._rabbit_settings.stop_timeout_s)
            if left:
                self._counters.add("rabbit_source_requeued_batches", left)
                _log.warning("handed messages back to RabbitMQ unfinished", messages=left)
        await self._link.stop()
        await self._abandon()
        await self._dead_letters.stop()

    async def _subscribe(self, connection: Connection) -> None:
        await declare_topology(connection, self._rabbit_settings)
        await self._abandon()
        self._subscription = Subscription(self._handle, queue=PROCESSOR_QUEUE, prefetch=self._settings.prefetch)
        await self._subscription.begin(connection)

    async def _abandon(self) -> None:
        """End what a lost connection left: those batches come again, and should not meet themselves in the intake."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            await subscription.abandon()
        self._held.clear()

    async def _handle(self, message: Message) -> None:
        try:
            async with self._budget.room_for(len(message.body)):
                await self._store(message)
        except PermanentError as error:
            self._held.discard(id(message))
            await self._bury(message, str(error))
            await self._trials.forget(message)

    async def _store(self, message: Message) -> None:
        """Return when the message's batch is durable, however long that takes. Raises `PermanentError` for poison."""
        batch = None
        attempt = 0
        while True:
            try:
                async with self._trials.attempt(message):
                    batch = batch or batch_of(message, self._now_ns)
                    await self._consumer.consume(batch)
            except RetryableError as error:
                hint_s = error.retry_after_s
                self._hold(message, str(error))
            except PermanentError:
                raise
            except Exception:
                # A mistake of ours says nothing about the batch: it is kept and tried until the mistake is gone.
                hint_s = 0.0
                _log.exception("storing a batch failed", message_id=message.properties.message_id, attempt=attempt)
            else:
                return self._let_go(message)
            await asyncio.sleep(max(hint_s, self._pause_s(attempt)))
            attempt += 1

    def _hold(self, message: Message, reason: str) -> None:
        """Say once, and not for every batch, that storage is in trouble."""
        if not self._held:
            _log.warning("cannot store batches now: holding them", reason=reason)
        self._held.add(id(message))

    def _let_go(self, message: Message) -> None:
        if self._held:
            self._held.discard(id(message))
            if not self._held:
                _log.info("stored every batch that was held")

    async def _bury(self, message: Message, reason: str) -> None:
        """Return when the message is safe among the dead letters, however long that takes."""
        letter = dead_letter_of(message, reason)
        attempt = 0
        while True:
            try:
                await self._dead_letters.publish(DEAD_LETTER_EXCHANGE, letter)
            except RetryableError as error:
                _log.warning("cannot set a dead letter aside yet", attempt=attempt, reason=str(error))
            else:
                break
            await asyncio.sleep(self._pause_s(attempt))
            attempt += 1
        self._counters.add("rabbit_source_dead_lettered_batches")
        _log.error("set a message aside as a dead letter", message_id=message.properties.message_id, reason=reason)

    def _count_reconnect(self) -> None:
        self._counters.add("rabbit_source_reconnects")

    def _pause_s(self, attempt: int) -> float:
        return pause_s(attempt, self._settings.retry_min_s, self._settings.retry_max_s)
