"""Draining the outbox: what waits to its channel, in order, again after a pause when it was not taken.

Runs in the process that holds the lease. An attempt is noted before it is made and settled after it, so that a crash
in between has it made once more, and a channel that is slow or dead keeps no other waiting. What is due to one channel
at the same time, as in a storm, or because the channel was away or has had its fill for this minute, leaves together.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import structlog

from alerting.notifier import Channel, Channels
from alerting.parcel import Parcel, parcels_of
from alerting.settings import AlertingSettings
from storage.alert_outbox import AlertOutbox
from storage.alert_rounds import LeaseLostError, OutboxRow
from telemetry import Counters, ModelWatchError, NowNs, PermanentError, RetryableError
from telemetry.counters import CounterName

log = structlog.get_logger(__name__)

Leadership = Callable[[], tuple[str, int] | None]
"""Returns holder and fence while this process holds the lease, else `None`."""

_NS_PER_MS: Final = 1_000_000
_MS_PER_MINUTE: Final = 60_000
_LONGEST_LOOK_S: Final = 1.0
_AT_ONCE: Final = 100
_DETAIL_CHARS: Final = 300
_LONGEST_HINT_S: Final = 3_600.0
_COUNTED: Final[tuple[CounterName, ...]] = (
    "alerting_sent_notifications",
    "alerting_messages",
    "alerting_retried_notifications",
    "alerting_failed_notifications",
)


def jitter() -> float:
    """Return a factor for a pause, so that those who failed together do not come back together."""
    return random.uniform(1.0, 1.25)


async def no_others() -> None:
    """Do nothing: there are no channels but those of the start."""


class Dispatcher:
    """Sends what is due while `leadership` is ours, one message at a time to each channel."""

    def __init__(
        self,
        settings: AlertingSettings,
        outbox: AlertOutbox,
        channels: Channels,
        leadership: Leadership,
        counters: Counters,
        now_ns: NowNs = time.time_ns,
        jitter: Callable[[], float] = jitter,
        renew_channels: Callable[[], Awaitable[None]] = no_others,
    ) -> None:
        self._settings = settings
        self._outbox = outbox
        self._channels: dict[str, Channel] = {}
        self._renew_channels = renew_channels
        self._leadership = leadership
        self._counters = counters
        self._now_ns = now_ns
        self._jitter = jitter
        self._sending: dict[str, asyncio.Task[None]] = {}
        self._sent_ms: dict[str, deque[int]] = {}
        self._alone: set[tuple[str, str]] = set()
        self._wake = asyncio.Event()
        self._looked_ms = 0
        self.use_channels(channels)

    def use(self, settings: AlertingSettings) -> None:
        """Try for as long, and with the pauses, that these settings say from now on."""
        self._settings = settings

    def use_channels(self, channels: Channels) -> None:
        """Send to these from now on; what waits for one that is gone is given up."""
        self._channels = {channel.name: channel for channel in channels}
        # How many left in the last minute counts on, so that a change is no way around `max_per_minute`.
        self._sent_ms = {name: self._sent_ms.get(name, deque()) for name in self._channels}
        for name in _COUNTED:
            self._counters.declare(name, channel=sorted(self._channels))

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
        """Begin to send what is due to channels that are free, until every one of them has something to do."""
        await self._follow_the_clock()
        while (leader := self._leadership()) is not None:
            busy = {*self._sending, *(name for name in self._channels if self._has_had_its_fill(name))}
            rows = await self._outbox.due(self._now_ms(), _AT_ONCE, tuple(sorted(busy)))
            limits = {name: channel.max_together for name, channel in self._channels.items()}
            parcels = parcels_of([row for row in rows if row.channel not in self._sending], self._alone, limits)
            if not parcels:
                return
            for channel, parcel in parcels.items():
                task = asyncio.create_task(self._send(channel, parcel, leader), name=f"notification to {channel}")
                self._sending[channel] = task
                task.add_done_callback(lambda _done, channel=channel: self._sent(channel))  # type: ignore[misc]

    async def _follow_the_clock(self) -> None:
        """Let a clock that was put back delay nothing: what was due soon would be due long after."""
        now_ms, leader = self._now_ms(), self._leadership()
        if leader is not None and now_ms < self._looked_ms:
            await self._outbox.put_back(*leader, now_ms, self._looked_ms - now_ms)
        self._looked_ms = now_ms

    async def drained(self) -> None:
        """Return when nothing is being sent."""
        while self._sending:
            await asyncio.wait(list(self._sending.values()))

    def _has_had_its_fill(self, channel: str) -> bool:
        sent, now_ms = self._sent_ms[channel], self._now_ms()
        while sent and not 0 <= now_ms - sent[0] < _MS_PER_MINUTE:
            sent.popleft()
        return len(sent) >= self._channels[channel].max_per_minute

    def _sent(self, channel: str) -> None:
        self._sending.pop(channel, None)
        self._wake.set()

    async def _send(self, channel: str, parcel: Parcel, leader: tuple[str, int]) -> None:
        try:
            pause_s = max([self._pause_s(row.attempts) for row in parcel.rows])
            claimed_to_ms = self._now_ms() + round(1_000 * (self._settings.send_timeout_s + pause_s))
            claimed = await self._outbox.claim(*leader, parcel.rows, claimed_to_ms)
            if claimed:
                await self._outbox.settle(await self._attempt(channel, parcel.only(claimed)))
        except LeaseLostError:
            await asyncio.sleep(_LONGEST_LOOK_S)  # whoever holds it now sends it; this process finds out in a moment
        except ModelWatchError as error:
            log.warning("delivery of a notification not recorded", channel=channel, reason=str(error))
            await asyncio.sleep(_LONGEST_LOOK_S)
        except Exception:
            log.exception("notification not sent", channel=channel)

    async def _attempt(self, channel: str, parcel: Parcel) -> list[OutboxRow]:
        """Return the rows as the attempt leaves them: the status, why, and when they are due again."""
        unread = [self._failed(row, "written by another version of ModelWatch") for row in parcel.unreadable]
        rows = parcel.readable
        if not rows:
            return unread
        try:
            await self._deliver(channel, parcel)
        except PermanentError as error:
            if len(rows) > 1:  # perhaps only one of them is at fault
                self._alone.update([(row.notification_id, channel) for row in rows])
                return unread + [self._again(row, str(error), 0.0) for row in rows]
            return unread + [self._failed(row, str(error)) for row in rows]
        except RetryableError as error:
            if parcel.is_test:
                return unread + [self._failed(row, str(error)) for row in rows]
            return unread + [self._again(row, str(error), error.retry_after_s) for row in rows]
        except Exception as error:  # a mistake of the channel's: its text may hold a secret, its kind does not
            log.error("channel failed", channel=channel, error=type(error).__name__)
            return unread + [self._again(row, f"the channel failed ({type(error).__name__})", 0.0) for row in rows]
        self._counters.add("alerting_sent_notifications", len(rows), channel=channel)
        self._counters.add("alerting_messages", channel=channel)
        self._forget(rows)
        finished_ms = self._now_ms()
        return unread + [row._replace(status="sent", detail="", finished_ms=finished_ms) for row in rows]

    async def _deliver(self, name: str, parcel: Parcel) -> None:
        if parcel.is_test or name not in self._channels:
            await self._renew_channels()  # it may have been made or changed a moment ago
        channel = self._channels.get(name)
        if channel is None:
            raise PermanentError("there is no such channel any more")
        self._sent_ms[name].append(self._now_ms())
        try:
            async with asyncio.timeout(self._settings.send_timeout_s):
                await channel.notifier.notify(parcel.notifications)
        except TimeoutError:
            raise RetryableError(f"no answer within {self._settings.send_timeout_s:g} s") from None

    def _failed(self, row: OutboxRow, reason: str) -> OutboxRow:
        self._counters.add("alerting_failed_notifications", channel=self._label(row.channel))
        self._forget([row])
        log.error("notification not delivered", channel=row.channel, reason=reason)
        return row._replace(status="failed", detail=reason[:_DETAIL_CHARS], finished_ms=self._now_ms())

    def _again(self, row: OutboxRow, reason: str, hint_s: float) -> OutboxRow:
        pause_s = max(self._pause_s(row.attempts) * self._jitter(), min(hint_s, _LONGEST_HINT_S))
        due_ms = self._now_ms() + round(1_000 * pause_s)
        if due_ms - row.created_ms > 1_000 * self._settings.give_up_after_s:
            return self._failed(row, f"given up after {row.attempts + 1} attempts: {reason}")
        if not row.attempts:
            log.warning("notification not taken, it is tried again", channel=row.channel, reason=reason)
        self._counters.add("alerting_retried_notifications", channel=self._label(row.channel))
        return row._replace(detail=reason[:_DETAIL_CHARS], due_ms=due_ms)

    def _label(self, channel: str) -> str:
        """Return a channel's name as a label; those that are no more are one, as nobody can say how many those are."""
        return channel if channel in self._channels else "unknown"

    def _forget(self, rows: Sequence[OutboxRow]) -> None:
        self._alone.difference_update([(row.notification_id, row.channel) for row in rows])

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
