"""What people say of alerts, kept as documents: rules, silences, acknowledgements.

Written by the API and the command line of any process, read by the evaluator; `alerting/` knows what is in them.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from sqlalchemy import Connection, text

from storage.database import Database


class RevisionConflictError(Exception):
    """The rule is not at the revision that was expected: somebody else changed, made or deleted it meanwhile."""


class RuleRow(NamedTuple):
    """A rule; its revision grows by one with every change."""

    rule_id: str
    revision: int
    changed_ms: int
    document: str


class SilenceRow(NamedTuple):
    """A silence or maintenance window."""

    silence_id: str
    ends_ms: int
    document: str


class AckRow(NamedTuple):
    """The latest acknowledgement of an alert."""

    alert_id: str
    at_ms: int
    document: str


_RULES: Final = text("SELECT rule_id, revision, changed_ms, document FROM alert_rules ORDER BY rule_id")
_REVISION: Final = text("SELECT revision FROM alert_rules WHERE rule_id = :rule_id")
_ADD_RULE: Final = text(
    "INSERT INTO alert_rules (rule_id, revision, changed_ms, document) "
    "VALUES (:rule_id, :revision, :changed_ms, :document) ON CONFLICT (rule_id) DO NOTHING"
)
_CHANGE_RULE: Final = text(
    "UPDATE alert_rules SET revision = :revision, changed_ms = :changed_ms, document = :document "
    "WHERE rule_id = :rule_id AND revision = :expected"
)
_DELETE_RULE: Final = text("DELETE FROM alert_rules WHERE rule_id = :rule_id AND revision = :expected")
_SILENCES: Final = text("SELECT silence_id, ends_ms, document FROM alert_silences WHERE ends_ms > :after_ms")
_PUT_SILENCE: Final = text(
    "INSERT INTO alert_silences (silence_id, ends_ms, document) VALUES (:silence_id, :ends_ms, :document) "
    "ON CONFLICT (silence_id) DO UPDATE SET ends_ms = excluded.ends_ms, document = excluded.document"
)
_ACKS: Final = text("SELECT alert_id, at_ms, document FROM alert_acks")
_PUT_ACK: Final = text(
    "INSERT INTO alert_acks (alert_id, at_ms, document) VALUES (:alert_id, :at_ms, :document) "
    "ON CONFLICT (alert_id) DO UPDATE SET at_ms = excluded.at_ms, document = excluded.document"
)


class AlertDocuments:
    """Rules, silences and acknowledgements in a database. Everything raises `StorageUnavailableError`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def rules(self) -> list[RuleRow]:
        """Return all rules that were written, by id."""
        return await self._database.read(lambda connection: [RuleRow(*row) for row in connection.execute(_RULES)])

    async def put_rule(self, rule_id: str, document: str, expected: int | None, changed_ms: int) -> int:
        """Write a rule and return its new revision.

        `expected` is the revision that it must have, 0 for none at all, `None` for whichever it has. Raises
        `RevisionConflictError`.
        """

        def put(connection: Connection) -> int:
            found = connection.scalar(_REVISION, {"rule_id": rule_id}) or 0
            if expected not in (None, found):
                raise RevisionConflictError
            values = {"rule_id": rule_id, "revision": found + 1, "changed_ms": changed_ms, "document": document}
            write, more = (_CHANGE_RULE, {"expected": found}) if found else (_ADD_RULE, {})
            if connection.execute(write, {**values, **more}).rowcount != 1:
                raise RevisionConflictError
            return found + 1

        return await self._database.write(put)

    async def delete_rule(self, rule_id: str, expected: int | None) -> bool:
        """Delete a rule; tell whether there was one. Raises `RevisionConflictError`."""

        def delete(connection: Connection) -> bool:
            found = connection.scalar(_REVISION, {"rule_id": rule_id})
            if expected not in (None, found or 0):
                raise RevisionConflictError
            if found is None:
                return False
            return connection.execute(_DELETE_RULE, {"rule_id": rule_id, "expected": found}).rowcount == 1

        return await self._database.write(delete)

    async def silences(self, after_ms: int) -> list[SilenceRow]:
        """Return the silences that end after a time, those that have not begun included."""
        return await self._database.read(
            lambda connection: [SilenceRow(*row) for row in connection.execute(_SILENCES, {"after_ms": after_ms})]
        )

    async def put_silence(self, row: SilenceRow) -> None:
        """Write a silence, in the place of the one with its id if there is one."""
        await self._database.write(lambda connection: connection.execute(_PUT_SILENCE, row._asdict()) and None)

    async def acks(self) -> list[AckRow]:
        """Return the latest acknowledgement of every alert that has any."""
        return await self._database.read(lambda connection: [AckRow(*row) for row in connection.execute(_ACKS)])

    async def put_ack(self, row: AckRow) -> None:
        """Write an acknowledgement, in the place of any before."""
        await self._database.write(lambda connection: connection.execute(_PUT_ACK, row._asdict()) and None)
