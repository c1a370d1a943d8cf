"""The channels that notifications go to, as they are now: looked at every few seconds, in every process that evaluates.

Between the book and the evaluator, which is told whenever something changed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import structlog

from alerting.channels.book import ChannelBook, KnownChannel
from alerting.channels.component import ChannelMaker
from alerting.channels.filtering import takes
from alerting.notification import Notification, Told
from alerting.notifier import Channel, Channels
from alerting.settings import AlertingSettings
from storage.following import Following
from telemetry import RetryableError, StartError

log = structlog.get_logger(__name__)

_UNREADY: Final = "unready"


class ChannelFollower(Following):
    """Component. Does not start without the database: what is told to a channel must not go to all of them instead."""

    def __init__(
        self, settings: AlertingSettings, configured: Sequence[Channel], book: ChannelBook, interval_s: float
    ) -> None:
        super().__init__("the channels that were made while running", interval_s)
        self._configured = list(configured)
        self._book = book
        self._maker = ChannelMaker(settings)
        self._made: dict[str, tuple[KnownChannel, Channel]] = {}
        self._listeners: list[Callable[[Channels], None]] = []

    def listen(self, use: Callable[[Channels], None]) -> None:
        """Have `use` called with all channels whenever one was made, changed or removed."""
        self._listeners.append(use)

    async def _look(self) -> None:
        known = (await self._book.channels())[len(self._configured) :]
        made = {one.name: self._renewed(one) for one in known}
        if made == self._made:
            return
        self._made = made
        channels = [*self._configured, *(channel for _, channel in made.values())]
        for use in self._listeners:
            use(channels)

    def _renewed(self, known: KnownChannel) -> tuple[KnownChannel, Channel]:
        """Return the channel as it is; one that could not be made is tried again, as its file may be there by now."""
        before = self._made.get(known.name)
        is_same = before is not None and before[0] == known
        if before is not None and is_same and before[1].kind != _UNREADY:
            return before
        try:
            if known.failure or known.settings is None:
                raise StartError(known.failure)
            return known, self._maker.make(known.settings)
        except StartError as error:
            if before is not None and is_same:
                return before
            log.error("a channel cannot be used", channel=known.name, reason=str(error))
            return known, _unready(known, str(error))


class _Unready:
    """Notifier of a channel that cannot be used as it is: what goes there waits until it can."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    async def notify(self, notifications: Sequence[Notification]) -> None:
        raise RetryableError(self._reason, retry_after_s=0)


def _unready(known: KnownChannel, reason: str) -> Channel:
    settings = known.settings
    if settings is None:
        return Channel(known.name, _Unready(reason), kind=_UNREADY)
    is_for_firing = Told.FIRING in settings.states
    return Channel(known.name, _Unready(reason), partial(takes, settings), _UNREADY, is_for_firing=is_for_firing)
