"""The channels of the configuration and those that were made while ModelWatch runs, together: one list for everybody.

Reads the store anew each time, so that the page, the API and evaluators in other processes see the same. What the
configuration gives cannot be changed here, and wins over one of the same name that was kept before.
"""

from __future__ import annotations

import time
from typing import Final, NamedTuple

import orjson
import structlog

from alerting.channels.component import ChannelMaker, check_channel
from alerting.channels.given import GivenChannel, channel_in, channel_of, document_of, told_of, with_files
from alerting.channels.settings import WEBHOOK_SCHEMES, ChannelFaultError, ChannelSettings, scheme_of
from alerting.settings import AlertingSettings
from query import QuestionError
from storage.alert_channels import AlertChannels, ChannelRow, NoRoomError
from storage.alert_documents import RevisionConflictError
from storage.setting_changes import Change
from telemetry import NowNs, PermanentError, RetryableError, StartError

log = structlog.get_logger(__name__)

MOST_CHANNELS: Final = 32
_NS_PER_MS: Final = 1_000_000
_NEWER: Final = "a newer ModelWatch wrote it, and this one cannot read it"


class UnknownChannelError(PermanentError):
    """There is no channel of this name."""


class ChannelConflictError(PermanentError):
    """It is there already, was changed meanwhile, or is given by the configuration."""


class KnownChannel(NamedTuple):
    """A channel. `revision` is 0 for one of the configuration; `failure` says why it cannot be used as it is."""

    name: str
    settings: ChannelSettings | None
    revision: int = 0
    failure: str = ""


class ChannelBook:
    """Everything raises `StorageUnavailableError`."""

    def __init__(self, settings: AlertingSettings, store: AlertChannels, now_ns: NowNs = time.time_ns) -> None:
        self._settings = settings
        self._store = store
        self._now_ns = now_ns
        self.configured = [KnownChannel(channel.name, channel) for channel in settings.channels]

    async def channels(self) -> list[KnownChannel]:
        """Return all, those of the configuration first."""
        given = {known.name for known in self.configured}
        kept = [self._known(row) for row in await self._store.rows() if row.name not in given]
        return self.configured + kept

    async def channel(self, name: str) -> KnownChannel:
        """Return one. Raises `UnknownChannelError`."""
        found = next((known for known in await self.channels() if known.name == name), None)
        if found is None:
            raise UnknownChannelError(f"there is no channel {name!r}")
        return found

    async def add(self, name: str, given: GivenChannel, by: str) -> KnownChannel:
        """Make a channel. Raises `QuestionError` and `ChannelConflictError`."""
        if any(known.name == name for known in await self.channels()):
            raise ChannelConflictError(f"there is a channel {name!r} already")
        return await self._put(name, given, None, by)

    async def change(self, name: str, given: GivenChannel, expected: int | None, by: str) -> KnownChannel:
        """Change one, if it is at the revision that is expected.

        Raises `UnknownChannelError`, `QuestionError` and `ChannelConflictError`.
        """
        return await self._put(name, given, await self._kept(name, expected), by)

    async def remove(self, name: str, expected: int | None, by: str) -> None:
        """Delete one, with its secrets; what waits for it is given up. Raises as `change` does."""
        row = await self._kept(name, expected)
        change = Change(_json({"name": name, "is_removed": True}), _told(row), by, self._now_ms())
        try:
            await self._store.remove(name, row.revision, change)
        except RevisionConflictError:
            raise _changed_meanwhile(name) from None
        log.info("a channel was removed", channel=name, user=by)

    async def _kept(self, name: str, expected: int | None) -> ChannelRow:
        if any(known.name == name for known in self.configured):
            raise ChannelConflictError(f"channel {name!r} is given by the configuration: it is changed there")
        row = next((row for row in await self._store.rows() if row.name == name), None)
        if row is None:
            raise UnknownChannelError(f"there is no channel {name!r}")
        if expected not in (None, row.revision):
            raise _changed_meanwhile(name)
        return row

    async def _put(self, name: str, given: GivenChannel, row: ChannelRow | None, by: str) -> KnownChannel:
        held = channel_in(name, row.document) if row is not None else None
        made = channel_of(name, given, held)
        kind = await self._check(made)
        change = Change(_json(told_of(made, kind)), _told(row), by, self._now_ms())
        expected, most = row.revision if row is not None else 0, MOST_CHANNELS - len(self.configured)
        try:
            revision = await self._store.put(name, document_of(made), expected, most, change)
        except RevisionConflictError:
            raise _changed_meanwhile(name) from None
        except NoRoomError:
            raise ChannelConflictError(f"there may be {MOST_CHANNELS} channels at most") from None
        log.info("a channel was changed" if row is not None else "a channel was made", channel=name, user=by)
        return KnownChannel(name, with_files(made, self._settings.channel_files_dir), revision)

    async def _check(self, channel: ChannelSettings) -> str:
        """Return its kind if it can be used as it is, as at a start. Raises `QuestionError`."""
        try:
            made = ChannelMaker(self._settings).make(with_files(channel, self._settings.channel_files_dir))
            await check_channel(made)
        except ChannelFaultError as error:
            raise QuestionError(error.field, str(error)) from None
        except (StartError, PermanentError) as error:
            raise QuestionError("url" if channel.url_file is None else "url_file", str(error)) from None
        except RetryableError as error:
            raise RetryableError(f"channel {channel.name!r} was not looked at: {error}") from None
        return made.kind

    def _known(self, row: ChannelRow) -> KnownChannel:
        found = channel_in(row.name, row.document)
        if found is None:
            return KnownChannel(row.name, None, row.revision, _NEWER)
        try:
            return KnownChannel(row.name, with_files(found, self._settings.channel_files_dir), row.revision)
        except StartError as error:
            return KnownChannel(row.name, found, row.revision, str(error))

    def _now_ms(self) -> int:
        return self._now_ns() // _NS_PER_MS


def kind_of(settings: ChannelSettings | None) -> str:
    """Return the kind of a channel; empty where this process cannot tell, as another holds the file."""
    if settings is None:
        return ""
    try:
        scheme = scheme_of(settings.target())
    except StartError:
        return ""
    return "webhook" if scheme in WEBHOOK_SCHEMES else scheme


def _told(row: ChannelRow | None) -> str:
    found = None if row is None else channel_in(row.name, row.document)
    if found is None:
        return _json(None)
    return _json(told_of(found, kind_of(found) if found.url is not None else ""))


def _json(value: object) -> str:
    return orjson.dumps(value).decode()


def _changed_meanwhile(name: str) -> ChannelConflictError:
    return ChannelConflictError(f"channel {name!r} was changed meanwhile: look at it again")
