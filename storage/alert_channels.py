"""Channels that were made while ModelWatch runs, and in the same transaction the note of who made them.

Written by dashboards, read by whoever evaluates. `alerting/` knows what is in a document: secrets, in
clear text, so that nothing but `alerting/channels/` reads it.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, text

from storage import alert_schema, tuning_schema  # noqa: F401  the tables that the statements speak of
from storage.alert_documents import RevisionConflictError
from storage.database import Database
from storage.setting_changes import CHANNELS, Change, note
from telemetry import RetryableError

_ATTEMPTS: Final = 5
_ALL: Final = text("SELECT name, revision, changed_ms, document FROM alert_channels ORDER BY name")
_FOUND: Final = text("SELECT revision FROM alert_channels WHERE name = :name")
_COUNT: Final = text("SELECT count(*) FROM alert_channels")
_ADD: Final = text(
    "INSERT INTO alert_channels (name, revision, changed_ms, document) "
    "VALUES (:name, :revision, :changed_ms, :document) ON CONFLICT (name) DO NOTHING"
)
_CHANGE: Final = text(
    "UPDATE alert_channels SET revision = :revision, changed_ms = :changed_ms, document = :document "
    "WHERE name = :name AND revision = :expected"
)
_REMOVE: Final = text("DELETE FROM alert_channels WHERE name = :name AND revision = :expected")


class ChannelRow(NamedTuple):
    """A channel; its revision is its time or, if that did not move, one more than before: no two are alike."""

    name: str
    revision: int
    changed_ms: int
    document: str


class NoRoomError(Exception):
    """There are as many channels as there may be."""


class _TakenError(Exception):
    """Somebody else noted a change of settings at the same moment."""


class AlertChannels:
    """Channels in a database. Everything raises `StorageUnavailableError`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def rows(self) -> list[ChannelRow]:
        """Return all of them, by name."""
        return await self._database.read(lambda connection: [ChannelRow(*row) for row in connection.execute(_ALL)])

    async def put(self, name: str, document: str, expected: int, most: int, change: Change) -> int:
        """Write a channel over the revision that is `expected`, 0 for none, and return its new one.

        Raises `RevisionConflictError`, and `NoRoomError` where it would be more than `most`.
        """

        def put(connection: Connection) -> int:
            _check(connection, name, expected)
            if not expected and (connection.scalar(_COUNT) or 0) >= most:
                raise NoRoomError
            # Not from 1 on: one that is removed and made anew must not look like the one before.
            revision = max(expected + 1, change.changed_ms)
            values = {"name": name, "revision": revision, "changed_ms": change.changed_ms, "document": document}
            _write(connection, _CHANGE if expected else _ADD, values | ({"expected": expected} if expected else {}))
            return _noted(connection, change, revision)

        return await self._in_turn(put)

    async def remove(self, name: str, expected: int, change: Change) -> None:
        """Delete a channel of a revision. Raises `RevisionConflictError`."""

        def remove(connection: Connection) -> int:
            _check(connection, name, expected)
            _write(connection, _REMOVE, {"name": name, "expected": expected})
            return _noted(connection, change, expected)

        await self._in_turn(remove)

    async def _in_turn(self, job: Any) -> int:
        for _ in range(_ATTEMPTS):
            try:
                revision: int = await self._database.write(job)
                return revision
            except _TakenError:
                continue
        raise RetryableError("others change settings at the same moment: try again")


def _check(connection: Connection, name: str, expected: int) -> None:
    if (connection.scalar(_FOUND, {"name": name}) or 0) != expected:
        raise RevisionConflictError


def _write(connection: Connection, statement: Any, values: dict[str, Any]) -> None:
    if connection.execute(statement, values).rowcount != 1:
        raise RevisionConflictError


def _noted(connection: Connection, change: Change, revision: int) -> int:
    if not note(connection, CHANNELS, change):
        raise _TakenError
    return revision
