"""What people can see and do about channels: how deliveries stand, and whether one works; for the API and the page.

Reads and writes the outbox that the evaluator's process sends from, so that a test goes the way of every notification.
Shows nothing of a target but its kind.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from alerting.channels.book import ChannelBook, KnownChannel, kind_of
from alerting.channels.settings import ChannelSettings
from alerting.notification import AlertItem, Links, Notification, Severity, Told
from alerting.settings import AlertingSettings
from storage.alert_outbox import TEST_PREFIX, ChannelCount, Trouble
from storage.alert_rounds import OutboxRow
from storage.alert_store import AlertStore
from telemetry import NowNs, RetryableError

_NS_PER_MS: Final = 1_000_000
_MS_PER_S: Final = 1_000
_POLL_S: Final = 0.2
_BETWEEN_TESTS_S: Final = 5.0
_NOT_TAKEN_UP: Final = "not sent yet: it waits for the process that evaluates alerts, or for its turn"


class TooManyTestsError(RetryableError):
    """The channel was tested a moment ago."""


class ChannelState(NamedTuple):
    """A channel and how its deliveries stand; times are Unix seconds, `None` if there was none.

    One that is not `is_known` any more is there for what waits. `revision` is 0 for one that cannot be changed here;
    `failure` says why it cannot be used as it is.
    """

    name: str
    kind: str
    settings: ChannelSettings | None
    waiting: int
    waiting_reason: str
    last_sent_s: float | None
    last_failed_s: float | None
    last_failed_reason: str
    is_known: bool
    revision: int = 0
    failure: str = ""


class ChannelTest(NamedTuple):
    """How a test ended: `sent`, `failed`, or `waiting` if that is not known yet."""

    notification_id: str
    status: str
    detail: str
    took_s: float


class ChannelDesk:
    """Everything raises `StorageUnavailableError`."""

    def __init__(
        self,
        settings: AlertingSettings,
        store: AlertStore,
        now_ns: NowNs = time.time_ns,
        monotonic_s: Callable[[], float] = time.monotonic,
        wait_s: float | None = None,
    ) -> None:
        """`wait_s` is how long a test is waited for: as long as an attempt may take, and a little, without it."""
        self._settings = settings
        self.book = ChannelBook(settings, store.channels, now_ns)
        self._outbox = store.outbox
        self._now_ns = now_ns
        self._monotonic_s = monotonic_s
        self._wait_s = settings.send_timeout_s + _BETWEEN_TESTS_S if wait_s is None else wait_s
        self._tested: dict[str, float] = {}

    async def channels(self) -> list[ChannelState]:
        """Return all channels as the book has them, and after them those for which something still waits."""
        counts = {count.channel: count for count in await self._outbox.counts()}
        known = {one.name: one for one in await self.book.channels()}
        gone = [name for name, count in counts.items() if name not in known and count.waiting]
        return [await self._state(name, known.get(name), counts.get(name)) for name in (*known, *gone)]

    async def channel(self, name: str) -> ChannelState:
        """Return one that the book has. Raises `UnknownChannelError`."""
        known = await self.book.channel(name)
        counts = {count.channel: count for count in await self._outbox.counts()}
        return await self._state(name, known, counts.get(name))

    async def test(self, name: str) -> ChannelTest:
        """Send a test and wait until it is known how that ended. Raises `UnknownChannelError`, `TooManyTestsError`."""
        await self.book.channel(name)
        began = self._monotonic_s()
        wait_for_s = _BETWEEN_TESTS_S - (began - self._tested.get(name, -_BETWEEN_TESTS_S))
        if wait_for_s > 0:
            raise TooManyTestsError(f"channel {name!r} was tested a moment ago", retry_after_s=wait_for_s)
        self._tested[name] = until = began + self._wait_s
        try:
            return await self._test(name, began, until)
        finally:
            self._tested[name] = self._monotonic_s()

    async def _test(self, name: str, began: float, until: float) -> ChannelTest:
        row = self._row(name)
        await self._outbox.post(row)
        while True:
            found = await self._outbox.find(row.notification_id, name)
            took_s = self._monotonic_s() - began
            if found is not None and found.status != "waiting":
                return ChannelTest(row.notification_id, found.status, found.detail, took_s)
            if self._monotonic_s() >= until:
                return ChannelTest(row.notification_id, "waiting", _NOT_TAKEN_UP, took_s)
            await asyncio.sleep(_POLL_S)

    async def _state(self, name: str, known: KnownChannel | None, found: ChannelCount | None) -> ChannelState:
        count = found or ChannelCount(name, 0, 0, 0)
        trouble: Trouble = await self._outbox.trouble(name)
        settings = known.settings if known else None
        return ChannelState(
            name,
            kind_of(settings),
            settings,
            count.waiting,
            trouble.waiting if count.waiting else "",
            count.last_sent_ms / _MS_PER_S or None,
            count.last_failed_ms / _MS_PER_S or None,
            trouble.failed if count.last_failed_ms else "",
            known is not None,
            known.revision if known else 0,
            known.failure if known else "",
        )

    def _row(self, channel: str) -> OutboxRow:
        now_ms = self._now_ns() // _NS_PER_MS
        told = notification_of_test(channel, now_ms / _MS_PER_S, self._settings.page_url)
        return OutboxRow(told.notification_id, channel, now_ms, now_ms, 0, "waiting", "", 0, told.model_dump_json())


def notification_of_test(channel: str, now_s: float, page_url: str) -> Notification:
    """Return what is sent to see whether a channel works."""
    base = page_url.rstrip("/")
    item = AlertItem(
        alert_id=f"test-{channel}",
        state=Told.FIRING,
        severity=Severity.WARNING,
        labels={},
        summary=f"This is a test of the channel {channel}. No alert fires.",
        value=None,
        compared=None,
        threshold=0.0,
        started_s=now_s,
        reason="somebody asked for it",
        links=Links(page=f"{base}/", alerts=f"{base}/alerts"),
    )
    return Notification(
        notification_id=f"{TEST_PREFIX}{secrets.token_hex(8)}",
        created_s=now_s,
        rule_id="test",
        rule_name="Test",
        signal="",
        unit="",
        comparison="above",
        group_labels={},
        state=Told.FIRING,
        severity=Severity.WARNING,
        items=(item,),
        is_test=True,
    )
