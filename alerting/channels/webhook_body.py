"""The body of a webhook, version 1, and its signature; described for receivers in `docs/alert-channels.md`.

Everything is as it was measured and sent: escaping is for whoever shows it. Pure.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from typing import Any, Final

import orjson

from alerting.notification import AlertItem, Notification

VERSION: Final = 1
_NAMES: Final = {"page": "page_url", "alerts": "alerts_url"}


def body_of(channel: str, notifications: Sequence[Notification], sent_s: float) -> bytes:
    """Return the JSON body."""
    return orjson.dumps(
        {
            "version": VERSION,
            "channel": channel,
            "sent_s": sent_s,
            "is_test": any(notification.is_test for notification in notifications),
            "notifications": [_notification(notification) for notification in notifications],
        }
    )


def delivery_id(notifications: Sequence[Notification]) -> str:
    """Return the same id whenever the same notifications are sent together."""
    ids = [notification.notification_id for notification in notifications]
    return ids[0] if len(ids) == 1 else hashlib.blake2b("\n".join(ids).encode(), digest_size=12).hexdigest()


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """Return the value of the signature header: HMAC-SHA-256 over the timestamp, a dot, and the body."""
    return "v1=" + hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def _notification(notification: Notification) -> dict[str, Any]:
    document = notification.model_dump(mode="json", exclude={"items"})
    document["alerts"] = [_alert(item) for item in notification.items]
    return document


def _alert(item: AlertItem) -> dict[str, Any]:
    document = item.model_dump(mode="json", exclude={"links"})
    for name, address in item.links.model_dump(mode="json").items():
        document[_NAMES.get(name, name)] = address
    return document
