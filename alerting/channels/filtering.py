"""Which notifications a channel is for, and what of them.

Pure; from the settings of the channel.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

from alerting.channels.settings import ChannelSettings
from alerting.notification import AlertItem, Notification, Severity, Told

_RANK = {severity: rank for rank, severity in enumerate(Severity)}
_GRAVITY = {Told.RESOLVED: 0, Told.NO_DATA: 1, Told.FIRING: 2}


def accepts(settings: ChannelSettings, notification: Notification) -> bool:
    """Tell whether any of it is for the channel; a test always is."""
    return notification.is_test or any(_is_for(settings, notification, item) for item in notification.items)


def part_for(settings: ChannelSettings, notification: Notification) -> Notification | None:
    """Return what of a notification is for the channel, `None` if nothing is."""
    return narrowed(settings, notification) if accepts(settings, notification) else None


def narrowed(settings: ChannelSettings, notification: Notification) -> Notification:
    """Return the notification with only what is for the channel."""
    if notification.is_test:
        return notification
    items = tuple([item for item in notification.items if _is_for(settings, notification, item)])
    if len(items) == len(notification.items) or not items:
        return notification
    return notification.model_copy(
        update={
            "items": items,
            "state": max([item.state for item in items], key=_GRAVITY.__getitem__),
            "severity": max([item.severity for item in items], key=_RANK.__getitem__),
        }
    )


def _is_for(settings: ChannelSettings, notification: Notification, item: AlertItem) -> bool:
    known = {**notification.scope_labels, **notification.group_labels, **item.labels}
    labels = {"rule": notification.rule_id, **known}
    return (
        _RANK[item.severity] >= _RANK[settings.min_severity]
        and item.state in settings.states
        and all(matches_label(pattern, labels.get(name, "")) for name, pattern in settings.labels.items())
    )


def matches_label(pattern: str, value: str) -> bool:
    """Tell whether the value of a label is one that a channel asks for; a label that is not there is empty."""
    # Only * is special, as in rules; the others of fnmatch are taken as they are.
    return fnmatchcase(value, pattern.replace("[", "[[]").replace("?", "[?]"))
