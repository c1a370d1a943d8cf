"""The shapes of answers about channels, as OpenAPI shows them; `api/channel_routes.py` fills them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from alerting.channels.given import GivenChannel
from alerting.channels.settings import CHANNEL_NAME
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
    is_editable: bool = Field(
        description="Whether it was made here, and can be changed and removed here; others stand in the configuration."
    )
    revision: Count = Field(description="Changes with every change; 0 for a channel of the configuration.")
    failure: str = Field(description="Why it cannot be used as it is; what goes there waits. Empty if all is well.")
    secrets: list[Literal["url", "signing_secret", "authorization"]] = Field(
        description="Which of its secrets are kept; none is ever told."
    )
    files: dict[str, str] = Field(description="Files that are read in the place of secrets, without their folder.")
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
    """All channels: those of the configuration in its order, then those that were made here, by name."""

    items: list[AlertChannel]
    next_cursor: NextCursor


class NewChannel(GivenChannel):
    """A channel, with its name."""

    name: str = Field(pattern=CHANNEL_NAME, description="What rules and the API call it.", examples=["on-call"])


class AlertChannelTest(Document):
    """How a test ended. `waiting`: it is not known yet; ask for the channel again."""

    notification_id: str
    status: Literal["sent", "failed", "waiting"]
    detail: str = Field(description="Why it failed or waits.")
    took_s: Seconds
