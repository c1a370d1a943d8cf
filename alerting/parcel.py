"""What leaves for a channel at once: the rows of the outbox that are due to it, and the notifications in them.

Pure; between the outbox and the dispatcher.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from alerting.notification import Notification
from storage.alert_rounds import OutboxRow


@dataclass(frozen=True, slots=True)
class Parcel:
    """Rows for one channel, each with its notification; `None` where another version wrote what cannot be read."""

    content: Sequence[tuple[OutboxRow, Notification | None]]

    @property
    def rows(self) -> list[OutboxRow]:
        """All rows."""
        return [row for row, _ in self.content]

    @property
    def readable(self) -> list[OutboxRow]:
        """Rows that can be sent."""
        return [row for row, notification in self.content if notification is not None]

    @property
    def unreadable(self) -> list[OutboxRow]:
        """Rows that never can be."""
        return [row for row, notification in self.content if notification is None]

    @property
    def notifications(self) -> list[Notification]:
        """What is to be sent, in order."""
        return [notification for _, notification in self.content if notification is not None]

    @property
    def is_test(self) -> bool:
        """Whether it tests the channel; then it is tried once."""
        return any(notification.is_test for notification in self.notifications)

    def only(self, rows: Collection[OutboxRow]) -> Parcel:
        """Return the parcel without other rows than these."""
        return Parcel([one for one in self.content if one[0] in rows])


def parcels_of(
    rows: Iterable[OutboxRow], alone: Collection[tuple[str, str]], limits: Mapping[str, int]
) -> dict[str, Parcel]:
    """Return what may leave now for each channel, in the order of the rows.

    A test leaves by itself, and so does what is in `alone`, by id and channel, as it was refused together with others.
    `limits` are how many may leave together, by channel.
    """
    found: dict[str, list[tuple[OutboxRow, Notification | None]]] = {}
    closed: set[str] = set()
    for row in rows:
        if row.channel in closed:
            continue
        notification = _read(row.document)
        is_alone = (row.notification_id, row.channel) in alone or (notification is not None and notification.is_test)
        content = found.setdefault(row.channel, [])
        if is_alone or len(content) + 1 >= limits.get(row.channel, 1):
            closed.add(row.channel)
        if not is_alone or not content:
            content.append((row, notification))
    return {channel: Parcel(content) for channel, content in found.items()}


def _read(document: str) -> Notification | None:
    try:
        return Notification.model_validate_json(document)
    except ValidationError:
        return None
