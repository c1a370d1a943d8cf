"""The contract of a channel: something that takes a notification to people.

The dispatcher drains the outbox into channels; which there are is settled by whoever assembles the room. What goes to
which of them is in `hearing.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from alerting.notification import Notification, Severity, Told


class Notifier(Protocol):
    """Delivers notifications to one target."""

    async def notify(self, notifications: Sequence[Notification]) -> None:
        """Return when the target has taken them; several at once are to be told as one, in this order.

        Raises `RetryableError`, whose hint is honoured, when trying again may help, and `PermanentError` when it never
        will. The message of either is shown to people: it must hold no secret. Cancelled when it takes too long. Called
        again with the same notification after a crash between the delivery and its record.
        """
        ...


class Subject(NamedTuple):
    """What a channel is chosen by: the labels of an alert, `rule` among them, and what is told of it."""

    labels: Mapping[str, str]
    told: Told
    severity: Severity


def everything(subject: Subject) -> bool:
    """Take anything."""
    return True


@dataclass(frozen=True, slots=True)
class Channel:
    """A notifier by its name, and what it is for."""

    name: str
    notifier: Notifier
    takes: Callable[[Subject], bool] = everything
    """Whether what is told of an alert is for the channel."""
    kind: str = ""
    """What takes the notifications to people, such as `slack` or `webhook`; nothing secret."""
    max_per_minute: int = 60
    """The most messages in any minute; what comes beyond it waits, and is told together."""
    max_together: int = 100
    """The most notifications that one message may be made of."""
    is_for_firing: bool = True
    """Whether it is told that anything fires; one that is not hears of ends without having heard of the beginnings."""


Channels = Sequence[Channel]


def named_of(channels: Channels, wanted: Sequence[str]) -> Channels:
    """Return the channels that a rule names, or else all.

    All, too, when none of those that it names is there any more: better told too widely than to nobody.
    """
    return [channel for channel in channels if channel.name in wanted] or channels


def trouble_with(wanted: Sequence[str], known: Sequence[str]) -> str:
    """Return what to say of channels that a rule names and that are not there; nothing where no channel is known."""
    missing = [repr(name) for name in wanted if name not in known]
    if not missing or not known:
        return ""
    left = [name for name in wanted if name in known]
    effect = f"it is told to {', '.join(left)} alone" if left else "it is told to all channels"
    there_is = "there is no channel" if len(missing) == 1 else "there are no channels"
    return f"{there_is} {', '.join(missing)}, so {effect}"
