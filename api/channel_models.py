"""The shapes of answers about channels, as OpenAPI shows them; `api/channel_routes.py` fills them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from alerting.notification import Severity, Told
from api.models import Count, Document, NextCursor, Seconds, Time


class AlertChannel(Document):
    """Where notifications go, and how deliveries stand. Of the target only its kind is told."""

    name: str
    kind: str = Field(
        description="`webhook`, or what Apprise calls it; empty if another process holds the file of its URL.",
        examples=["slack"],
    )
    is_configured: bool = Field(description="False for a channel that is gone while something still waits for it.")
    min_severity: Severity | None
    states: list[Told]
    labels: dict[str, str] = Field(description="What an alert's labels must match to go there.")
    max_per_minute: Count | None
    waiting: Count = Field(description="Notifications that are to be sent.")
    waiting_reason: str = Field(description="Why the last attempt failed, if something waits because of that.")
    last_sent: Time | None
    last_failed: Time | None = Field(description="When a notification was given up last.")
    last_failed_reason: str


class AlertChannels(Document):
    """All channels, in the order of the settings."""

    items: list[AlertChannel]
    next_cursor: NextCursor


class AlertChannelTest(Document):
    """How a test ended. `waiting`: it is not known yet; ask for the channel again."""

    notification_id: str
    status: Literal["sent", "failed", "waiting"]
    detail: str = Field(description="Why it failed or waits.")
    took_s: Seconds
