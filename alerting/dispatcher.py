"""Draining the outbox: every waiting notification to its channel, again after a pause when it was not taken.

Runs in the process that holds the lease. An attempt is noted before it is made and settled after it, so that a crash
in between has it made once more, and a channel that is slow or dead keeps no other waiting.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

import structlog
from pydantic import ValidationError

from alerting.notification import Notification
from alerting.notifier import Channel, Channels
from alerting.settings import AlertingSettings
from storage.alert_outbox import AlertOutbox
from storage.alert_rounds import LeaseLostError, OutboxRow
from telemetry import Counters, ModelWatchError, NowNs, PermanentError, RetryableError

log = structlog.get_logger(__name__)

Leadership = Callable[[], tuple[str, int] | None]
"""Returns holder and fence while this process holds the lease, else `None`."""

_NS_PER_MS: Final = 1_000_000
_LONGEST_LOOK_S: Final = 1.0
_AT_ONCE: Final = 50
_DETAIL_CHARS: Final = 300


class Dispatcher:
    """Sends what is due while `leadership` is ours, one notification at a time to each channel."""

    def __init__(
        self,
        settings: AlertingSettings,
        outbox: AlertOutbox,
        channels: Channels,
        leadership: Leadership,
        counters: Counters,
        now_ns: NowNs = time.time_ns,
    ) -> None:
        self._settings = settings
        self._outbox = outbox
        self._channels = {channel.name: channel for channel in channels}
        self._leadership = leadership
        self._counters = counters
        self._now_ns = now_ns
        self._sending: dict[str, asyncio.Task[None]] = {}
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Look at once: something was put into the outbox."""
        self._wake.set()

    async def run(self) -> None:
        """Send until cancelled."""
        try:
            while True:
                self._wake.clear()
                try:
                    await self.look()
                except ModelWatchError as error:
                    log.warning("outbox of alerts not read", reason=str(error))
                except Exception:
                    log.exception("outbox of alerts not read")
                try:
                    async with asyncio.timeout(_LONGEST_LOOK_S):
                        await self._wake.wait()
                except TimeoutError:
                    pass  # something may have become due, or another process may have put it there
        finally:
            await self._end()

    async def look(self) -> None:
        """Begin to send what is due to channels that are free."""
        leader = self._leadership()
        if leader is None:
            return
        for row in await self._outbox.due(self._now_ms(), _AT_ONCE, tuple(self._sending)):
            if row.channel not in self._sending:
                task = asyncio.create_task(self._send(row, leader), name=f"notification to {row.channel}")
                self._sending[row.channel] = task
                task.add_done_callback(lambda _done, channel=row.channel: self._sent(channel))  # type: ignore[misc]

    async def drained(self) -> None:
        """Return when nothing is being sent."""
        while self._sending:
            await asyncio.wait(list(self._sending.values()))

    def _sent(self, channel: str) -> None:
        self._sending.pop(channel, None)
        self._wake.set()

    async def _send(self, row: OutboxRow, leader: tuple[str, int]) -> None:
        try:
            claimed_to = self._now_ms() + round(1_000 * (self._settings.send_timeout_s + self._pause_s(row.attempts)))
            if not await self._outbox.claim(*leader, row, claimed_to):
                return
            status, detail, due_ms = await self._attempt(row)
            finished_ms = 0 if status == "waiting" else self._now_ms()
            await self._outbox.settle(row, status, detail, due_ms, finished_ms)
        except LeaseLostError:
            return  # whoever holds it now sends it
        except ModelWatchError as error:
            log.warning("delivery of a notification not recorded", channel=row.channel, reason=str(error))
        except Exception:
            log.exception("notification not sent", channel=row.channel)

    async def _attempt(self, row: OutboxRow) -> tuple[str, str, int]:
        """Return how it ended: the status, why, and when it is due again."""
        channel = self._channels.get(row.channel)
        try:
            if channel is None:
                raise PermanentError("there is no such channel any more")
            await self._deliver(channel, row)
        except PermanentError as error:
            return self._failed(row, str(error))
        except RetryableError as error:
            return self._again(row, str(error), error.retry_after_s)
        except Exception as error:  # a mistake of the channel's: its text may hold a secret, its kind does not
            log.error("channel failed", channel=row.channel, error=type(error).__name__)
            return self._again(row, f"the channel failed ({type(error).__name__})", 0.0)
        self._counters.add("alerting_sent_notifications")
        return "sent", "", row.due_ms

    async def _deliver(self, channel: Channel, row: OutboxRow) -> None:
        try:
            notification = Notification.model_validate_json(row.document)
        except ValidationError:
            raise PermanentError("written by another version of ModelWatch, which this one cannot read") from None
        try:
            async with asyncio.timeout(self._settings.send_timeout_s):
                await channel.notifier.notify(notification)
        except TimeoutError:
            raise RetryableError(f"no answer within {self._settings.send_timeout_s:g} s") from None

    def _failed(self, row: OutboxRow, reason: str) -> tuple[str, str, int]:
        self._counters.add("alerting_failed_notifications")
        log.error("notification not delivered", channel=row.channel, reason=reason)
        return "failed", reason[:_DETAIL_CHARS], row.due_ms

    def _again(self, row: OutboxRow, reason: str, hint_s: float) -> tuple[str, str, int]:
        due_ms = self._now_ms() + round(1_000 * max(self._pause_s(row.attempts), hint_s))
        if due_ms - row.created_ms > 1_000 * self._settings.give_up_after_s:
            return self._failed(row, f"given up after {row.attempts + 1} attempts: {reason}")
        self._counters.add("alerting_retried_notifications")
        return "waiting", reason[:_DETAIL_CHARS], due_ms

    def _pause_s(self, attempts: int) -> float:
        return float(min(self._settings.retry_min_s * 2 ** min(attempts, 30), self._settings.retry_max_s))

    async def _end(self) -> None:
        """Give what is being sent a moment to end and to be recorded, so that a stop repeats nothing."""
        tasks = list(self._sending.values())
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=self._settings.stop_timeout_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _now_ms(self) -> int:
        return self._now_ns() // _NS_PER_MS
