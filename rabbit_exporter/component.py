"""Takes batches and answers for them: when `consume` returns, RabbitMQ or the spill has the batch on disk.

The receiver's consumer in the distributed size; the processor's RabbitMQ source takes the batches up again.
"""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from rabbit_exporter.breaker import Breaker
from rabbit_exporter.drain import Drain
from rabbit_exporter.settings import RabbitExporterSettings
from rabbit_exporter.spill import Spill
from rabbitmq import ConfirmedPublisher, PublishLimits, RabbitSettings, Verdict, message_of
from telemetry import Batch, Counters, PermanentError, RetryableError, Signal
from telemetry.queues import EXCHANGE

SPILL_FOLDER: Final = "spill"
_LAST_GRACE_S: Final = 2.0


class RabbitExporter:
    """A component and a consumer.

    A batch goes to RabbitMQ, or to the spill when RabbitMQ refuses it or takes longer than `spill_after_s`; those that
    follow go to the spill at once, until the drain finds RabbitMQ well. When the spill cannot take a batch either, it
    gets `RetryableError`, and may have arrived all the same: its id tells the processor. Without a spill that happens
    after `publish_timeout_s`.
    """

    def __init__(
        self,
        settings: RabbitExporterSettings,
        publisher: ConfirmedPublisher,
        counters: Counters,
        spill: Spill | None,
    ) -> None:
        self._settings = settings
        self._publisher = publisher
        self._counters = counters
        self._spill = spill
        self._breaker = Breaker()
        self._drain = Drain(spill, publisher, self._breaker, settings, counters) if spill else None
        self._is_open = False
        self._in_hand = 0
        self._is_idle = asyncio.Event()
        self._is_idle.set()

    @property
    def is_connected(self) -> bool:
        """Whether RabbitMQ can be reached now."""
        return self._is_open and self._publisher.is_connected

    @property
    def is_spilling(self) -> bool:
        """Whether batches go to the spill now."""
        return self._breaker.is_open

    async def check(self) -> None:
        """Return when the next batch would be taken, by RabbitMQ or by the spill. Raises `RetryableError`."""
        if not self._is_open:
            raise RetryableError("the RabbitMQ exporter is not running")
        if self._spill is not None and self._spill.has_room:
            return
        without = "" if self._spill is None else ", and the spill is full or cannot be written to"
        if not self._publisher.is_connected:
            raise RetryableError(f"the RabbitMQ exporter has no connection{without}")
        if self._publisher.is_blocked:
            raise RetryableError(f"RabbitMQ is short of memory or disk and takes no messages{without}")
        if self._breaker.is_open:
            raise RetryableError(f"RabbitMQ does not take batches now ({self._breaker.reason}){without}")

    async def start(self) -> None:
        """Return when batches can be taken: connected, with the topology declared, or with the spill open.

        Raises `StartError`; with a spill not because RabbitMQ is away, but still because it refuses the login or has
        the queues otherwise.
        """
        if self._spill is not None:
            await self._spill.start()
        try:
            await self._publisher.start(must_connect=self._spill is None)
        except BaseException:
            if self._spill is not None:
                await self._spill.stop()
            raise
        if self._drain is not None:
            await self._drain.start()
        self._is_open = True

    async def stop(self) -> None:
        """Refuse what is new, wait up to `stop_grace_s` for confirms that are due, close the connection.

        What has no confirm by then is spilled, or without a spill gets `RetryableError`.
        """
        self._is_open = False
        grace_s = self._settings.stop_grace_s
        await asyncio.gather(self._wait_until_idle(grace_s), self._stop_drain(grace_s))
        await self._publisher.stop()
        await self._wait_until_idle(_LAST_GRACE_S)
        if self._spill is not None:
            await self._spill.stop()

    async def consume(self, batch: Batch) -> None:
        """Take a batch. Raises `PermanentError` when it is larger than `max_message_bytes`."""
        self._in_hand += 1
        self._is_idle.clear()
        try:
            is_published = await self._take(batch)
        except (RetryableError, PermanentError):
            self._counters.add("exporter_failed_batches", signal=batch.signal)
            raise
        finally:
            self._in_hand -= 1
            if not self._in_hand:
                self._is_idle.set()
        if is_published:
            self._counters.add("exporter_published_batches", signal=batch.signal)

    async def _take(self, batch: Batch) -> bool:
        """Return once the batch is safe; tell whether it is so by RabbitMQ, rather than by the spill."""
        if not self._is_open:
            raise RetryableError("the RabbitMQ exporter is not running")
        if len(batch.body) > self._settings.max_message_bytes:
            raise PermanentError(
                f"the request has {len(batch.body)} bytes, more than a message may have "
                f"({self._settings.max_message_bytes}): send smaller batches"
            )
        if self._spill is None:
            await self._publisher.publish(EXCHANGE, message_of(batch))
            return True
        if self._breaker.is_open:
            # With nothing in the spill there is no drain to find RabbitMQ well again; then the batch itself does.
            return await self._spill_or_publish(batch, self._spill)
        return await self._publish_or_spill(batch, self._spill)

    async def _publish_or_spill(self, batch: Batch, spill: Spill) -> bool:
        verdict: Verdict | None = None
        try:
            verdict = self._publisher.send(EXCHANGE, message_of(batch))
            await asyncio.wait({verdict}, timeout=self._settings.spill_after_s)
            if not verdict.done():
                raise RetryableError(f"RabbitMQ did not confirm within {self._settings.spill_after_s:g} s")
            error = verdict.result()
            if error is not None:
                raise error
        except RetryableError as refusal:
            self._breaker.open(str(refusal))
            await self._append(batch, spill, refusal, verdict)
            return False
        return True

    async def _spill_or_publish(self, batch: Batch, spill: Spill) -> bool:
        try:
            await self._append(batch, spill, RetryableError(self._breaker.reason))
        except RetryableError:
            if not spill.is_empty:
                raise
            await self._publisher.publish(EXCHANGE, message_of(batch))
            self._breaker.close()
            return True
        return False

    async def _append(
        self, batch: Batch, spill: Spill, refusal: RetryableError, verdict: Verdict | None = None
    ) -> None:
        try:
            await spill.append(batch, verdict)
        except RetryableError as error:
            self._counters.add("spill_refused_batches", signal=batch.signal)
            raise RetryableError(f"{refusal}, and {error}") from error

    async def _wait_until_idle(self, grace_s: float) -> None:
        try:
            async with asyncio.timeout(grace_s):
                await self._is_idle.wait()
        except TimeoutError:
            pass  # whoever still waits gets an answer when the connection closes

    async def _stop_drain(self, grace_s: float) -> None:
        if self._drain is not None:
            await self._drain.stop(grace_s)


def build(
    settings: RabbitExporterSettings,
    rabbit_settings: RabbitSettings,
    url: SecretStr,
    counters: Counters,
    data_dir: Path,
) -> RabbitExporter:
    """Return an exporter to the RabbitMQ at `url` (`amqp://` or `amqps://`), not yet started.

    Its spill is below `data_dir`, in a slot that it shares with no other process.
    """
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
    spill = Spill(data_dir / SPILL_FOLDER, settings, counters) if settings.spill_max_bytes else None
    exporter = RabbitExporter(settings, publisher, counters, spill)
    counters.observe("exporter_connected", lambda: int(exporter.is_connected))
    if spill is not None:
        counters.observe("exporter_spilling", lambda: int(exporter.is_spilling))
        counters.observe("spill_bytes", spill.held_bytes)
        for signal in Signal:
            counters.observe("spill_batches", partial(spill.batches, signal), signal=signal)
    return exporter
