"""What was set while ModelWatch ran: every change, by whom and when. The latest change of a setting is what holds.

Written by dashboards, read every few seconds by all processes with the database; values are JSON, of which `tuning/`
knows the meaning.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, text

from storage import tuning_schema  # noqa: F401  the table that the statements speak of
from storage.database import Database
from storage.sanitising import clean_text
from telemetry import RetryableError

KEPT_CHANGES: Final = 1_000
"""Of more, the oldest are deleted, but never the latest of a setting."""
CHANNELS: Final = "alerts.channels"
"""Channels of alerts are kept in a table of their own; here is only noted who changed them, without their secrets."""
_ATTEMPTS: Final = 5
_LONGEST: Final = 200

_COLUMNS: Final = "change_id, name, value, before, changed_by, changed_ms"
_LATEST_ID: Final = text("SELECT max(change_id) FROM setting_changes")
_HOLDING: Final = text(
    f"SELECT {_COLUMNS} FROM setting_changes "
    "WHERE change_id IN (SELECT max(change_id) FROM setting_changes GROUP BY name) ORDER BY name"
)
_READ: Final = text(
    f"SELECT {_COLUMNS} FROM setting_changes WHERE change_id < :before_id ORDER BY change_id DESC LIMIT :most"
)
_ADD: Final = text(
    f"INSERT INTO setting_changes ({_COLUMNS}) "
    "VALUES (:change_id, :name, :value, :before, :changed_by, :changed_ms) ON CONFLICT (change_id) DO NOTHING"
)
_FORGET: Final = text(
    "DELETE FROM setting_changes WHERE change_id <= :gone_id "
    "AND change_id NOT IN (SELECT max(change_id) FROM setting_changes GROUP BY name)"
)


class SettingChange(NamedTuple):
    """One change; ids grow with time. Without a `value` the setting went back to what each process started with.

    `before` is what held in the process that was asked for the change.
    """

    change_id: int
    name: str
    value: str | None
    before: str
    changed_by: str
    changed_ms: int


class Change(NamedTuple):
    """What is to be noted; see `SettingChange`."""

    value: str | None
    before: str
    changed_by: str
    changed_ms: int


class SettingChanges:
    """Everything raises `StorageUnavailableError`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def latest_id(self) -> int:
        """Return the id of the latest change, 0 if there is none."""
        return await self._database.read(lambda connection: connection.scalar(_LATEST_ID) or 0)

    async def holding(self) -> Sequence[SettingChange]:
        """Return the latest change of each setting that was ever changed, by name."""
        return await self._database.read(_changes(_HOLDING, {}))

    async def read(self, most: int, before_id: int | None = None) -> Sequence[SettingChange]:
        """Return changes, the latest first; with `before_id` those before that one."""
        values = {"most": most, "before_id": 2**63 - 1 if before_id is None else before_id}
        return await self._database.read(_changes(_READ, values))

    async def add(self, name: str, value: str | None, before: str, changed_by: str, changed_ms: int) -> None:
        """Note a change."""
        change = Change(value, before, changed_by, changed_ms)
        for _ in range(_ATTEMPTS):
            if await self._database.write(lambda connection: note(connection, name, change)):
                return
        raise RetryableError("others change settings at the same moment: try again")


def note(connection: Connection, name: str, change: Change) -> bool:
    """Note a change in a transaction; tell whether nobody else did so at the same moment."""
    change_id = (connection.scalar(_LATEST_ID) or 0) + 1
    changed_by = clean_text(change.changed_by, _LONGEST)
    values = {**change._asdict(), "changed_by": changed_by, "name": name, "change_id": change_id}
    if not connection.execute(_ADD, values).rowcount:
        return False
    connection.execute(_FORGET, {"gone_id": change_id - KEPT_CHANGES})
    return True


def _changes(statement: Any, values: dict[str, Any]) -> Any:
    return lambda connection: [SettingChange(*row) for row in connection.execute(statement, values)]
