"""Notifications, and channels that record them or go wrong when they are told to."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from alerting.notification import AlertItem, Links, Notification, Severity, Told
from storage.alert_rounds import OutboxRow

LINKS = Links(page="/?service=tumour-classifier", alerts="/alerts")


def notification(notification_id: str = "n1", **changes: Any) -> Notification:
    """Return a notification of one alert that fires."""
    item = AlertItem(
        alert_id="a1",
        state=Told.FIRING,
        severity=Severity.CRITICAL,
        labels={"service": "tumour-classifier"},
        summary="P95 1.92 s, above 1 s",
        value=1.92,
        compared=1.92,
        threshold=1.0,
        started_s=1_700_000_000.0,
        reason="above 1 s for 15 s",
        links=LINKS,
    )
    fields: dict[str, Any] = {
        "notification_id": notification_id,
        "created_s": 1_700_000_000.0,
        "rule_id": "high-latency",
        "rule_name": "High latency",
        "signal": "latency_p95",
        "unit": "s",
        "comparison": "above",
        "group_labels": {"service": "tumour-classifier"},
        "state": Told.FIRING,
        "severity": Severity.CRITICAL,
        "items": (item,),
    }
    return Notification(**(fields | changes))


def outbox_row(told: Notification, channel: str, created_ms: int) -> OutboxRow:
    """Return the row of a notification that was just made."""
    return OutboxRow(told.notification_id, channel, created_ms, created_ms, 0, "waiting", "", 0, told.model_dump_json())


class RecordingNotifier:
    """Keeps what it is told; raises the errors that it was given first, one per call; waits while `gate` is cleared."""

    def __init__(self, *errors: Exception) -> None:
        self.told: list[Notification] = []
        self.parcels: list[list[str]] = []
        self.attempts = 0
        self.errors = list(errors)
        self.gate = asyncio.Event()
        self.gate.set()

    async def notify(self, notifications: Sequence[Notification]) -> None:
        self.attempts += 1
        await self.gate.wait()
        if self.errors:
            raise self.errors.pop(0)
        self.told += notifications
        self.parcels.append([notification.notification_id for notification in notifications])
