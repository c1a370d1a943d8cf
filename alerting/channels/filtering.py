"""Which notifications a channel is for, and what of them.

Pure; from the settings of the channel.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

from alerting.channels.settings import ChannelSettings
from alerting.notification import AlertItem, Notification, Severity
from alerting.notifier import Subject

_RANK = {severity: rank for rank, severity in enumerate(Severity)}


def accepts(settings: ChannelSettings, notification: Notification) -> bool:
    """Tell whether any of it is for the channel; a test always is."""
    return notification.is_test or any(_is_for(settings, notification, item) for item in notification.items)


def takes(settings: ChannelSettings, subject: Subject) -> bool:
    """Tell whether what is told of an alert is for the channel."""
    return (
        _RANK[subject.severity] >= _RANK[settings.min_severity]
        and subject.told in settings.states
        and all(matches_label(pattern, subject.labels.get(name, "")) for name, pattern in settings.labels.items())
    )


def narrowed(settings: ChannelSettings, notification: Notification) -> Notification:
    """Return the notification with only what is for the channel."""
    if notification.is_test:
        return notification
    items = [item for item in notification.items if _is_for(settings, notification, item)]
    return notification.with_only(items) if items else notification


def _is_for(settings: ChannelSettings, notification: Notification, item: AlertItem) -> bool:
    known = {**notification.scope_labels, **notification.group_labels, **item.labels}
    return takes(settings, Subject({"rule": notification.rule_id, **known}, item.state, item.severity))


def matches_label(pattern: str, value: str) -> bool:
    """Tell whether the value of a label is one that a channel asks for; a label that is not there is empty."""
    # Only * is special, as in rules; the others of fnmatch are taken as they are.
    return fnmatchcase(value, pattern.replace("[", "[[]").replace("?", "[?]"))
