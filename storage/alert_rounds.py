"""What the evaluator keeps: who it is, the state of every alert, their history; all of a round in one transaction.

One process among many holds the lease. Whoever wants it watches the beat of the holder and takes over when that stands
still for long enough by its own monotonic clock, so that no two clocks are ever compared. Each write of the holder
begins by moving the beat under its own fence: a holder that was frozen and replaced finds that it cannot, and writes
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from sqlalchemy import Connection, text

from storage.database import Database
from telemetry import RetryableError

_LEASE: Final = "evaluator"


class LeaseLostError(RetryableError):
    """Another process holds the lease; nothing was written."""


class Lease(NamedTuple):
    """Who evaluates, and how far that is. `document` is what the holder says of its last round."""

    holder: str
    fence: int
    beat: int
    document: str


class StateRow(NamedTuple):
    """The state of an alert."""

    alert_id: str
    rule_id: str
    phase: str
    document: str


class TransitionRow(NamedTuple):
    """A change of an alert's state; `sequence` tells those of the same alert and time apart."""

    at_ms: int
    alert_id: str
    sequence: int
    rule_id: str
    document: str


class OutboxRow(NamedTuple):
    """A notification on its way to one channel. `status` is `waiting`, `sent` or `failed`; `detail` says why."""

    notification_id: str
    channel: str
    created_ms: int
    due_ms: int
    attempts: int
    status: str
    detail: str
    finished_ms: int
    document: str


@dataclass(frozen=True, slots=True)
class Round:
    """What a round changed: all of it is kept, or nothing."""

    document: str
    states: Sequence[StateRow] = ()
    forgotten: Sequence[str] = ()
    transitions: Sequence[TransitionRow] = ()
    outbox: Sequence[OutboxRow] = ()


_READ_LEASE: Final = text("SELECT holder, fence, beat, document FROM alert_leases WHERE name = :name")
_TAKE: Final = text(
    "UPDATE alert_leases SET holder = :holder, fence = fence + 1, beat = beat + 1 "
    "WHERE name = :name AND fence = :fence AND beat = :beat"
)
_BEAT: Final = "UPDATE alert_leases SET beat = beat + 1{} WHERE name = :name AND holder = :holder AND fence = :fence"
_RENEW: Final = text(_BEAT.format(""))
_RENEW_AND_SAY: Final = text(_BEAT.format(", document = :document"))
_RELEASE: Final = text(
    "UPDATE alert_leases SET holder = '', beat = beat + 1 WHERE name = :name AND holder = :holder AND fence = :fence"
)
_STATES: Final = "SELECT alert_id, rule_id, phase, document FROM alert_states"
_PUT_STATE: Final = text(
    "INSERT INTO alert_states (alert_id, rule_id, phase, document) VALUES (:alert_id, :rule_id, :phase, :document) "
    "ON CONFLICT (alert_id) DO UPDATE SET phase = excluded.phase, document = excluded.document"
)
_FORGET: Final = text("DELETE FROM alert_states WHERE alert_id = :alert_id")
_FORGET_ACK: Final = text("DELETE FROM alert_acks WHERE alert_id = :alert_id")
_NOTE_TRANSITION: Final = text(
    "INSERT INTO alert_history (at_ms, alert_id, sequence, rule_id, document) "
    "VALUES (:at_ms, :alert_id, :sequence, :rule_id, :document)"
)
POST: Final = text(
    "INSERT INTO alert_outbox "
    "(notification_id, channel, created_ms, due_ms, attempts, status, detail, finished_ms, document) VALUES "
    "(:notification_id, :channel, :created_ms, :due_ms, :attempts, :status, :detail, :finished_ms, :document) "
    "ON CONFLICT (notification_id, channel) DO NOTHING"
)
_HISTORY: Final = "SELECT at_ms, alert_id, sequence, rule_id, document FROM alert_history"
_EXPIRE: Final = (
    text("DELETE FROM alert_history WHERE at_ms < :before_ms"),
    text("DELETE FROM alert_outbox WHERE status <> 'waiting' AND created_ms < :before_ms"),
    text("DELETE FROM alert_silences WHERE ends_ms < :before_ms"),
    text("DELETE FROM alert_acks WHERE at_ms < :before_ms"),
)


def renew(connection: Connection, holder: str, fence: int, document: str | None = None) -> None:
    """Move the beat, or raise `LeaseLostError`; until the transaction ends, nobody else can take the lease."""
    values = {"name": _LEASE, "holder": holder, "fence": fence}
    if document is None:
        found = connection.execute(_RENEW, values)
    else:
        found = connection.execute(_RENEW_AND_SAY, {**values, "document": document})
    if found.rowcount != 1:
        raise LeaseLostError("another process evaluates the alerts now")


class AlertRounds:
    """Lease, states and history in a database. Everything raises `StorageUnavailableError`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def lease(self) -> Lease:
        """Return who holds the lease."""
        return await self._database.read(
            lambda connection: Lease(*connection.execute(_READ_LEASE, {"name": _LEASE}).one())
        )

    async def take(self, holder: str, seen: Lease) -> int | None:
        """Take the lease if nothing has moved since `seen`, and return the fence; `None` if something has."""
        values = {"name": _LEASE, "holder": holder, "fence": seen.fence, "beat": seen.beat}
        taken = await self._database.write(lambda connection: connection.execute(_TAKE, values).rowcount == 1)
        return seen.fence + 1 if taken else None

    async def release(self, holder: str, fence: int) -> None:
        """Give the lease up, so that another need not wait."""
        values = {"name": _LEASE, "holder": holder, "fence": fence}
        await self._database.write(lambda connection: connection.execute(_RELEASE, values) and None)

    async def renew(self, holder: str, fence: int) -> None:
        """Give a sign of life, and write nothing else. Raises `LeaseLostError`."""
        await self._database.write(lambda connection: renew(connection, holder, fence))

    async def commit(self, holder: str, fence: int, round_: Round) -> None:
        """Keep what a round changed, and renew the lease. Raises `LeaseLostError`."""

        def write(connection: Connection) -> None:
            renew(connection, holder, fence, round_.document)
            forgotten = [{"alert_id": alert_id} for alert_id in round_.forgotten]
            changes = (
                (_PUT_STATE, [row._asdict() for row in round_.states]),
                (_FORGET, forgotten),
                (_FORGET_ACK, forgotten),
                (_NOTE_TRANSITION, [row._asdict() for row in round_.transitions]),
                (POST, [row._asdict() for row in round_.outbox]),
            )
            for statement, rows in changes:
                if rows:
                    connection.execute(statement, rows)

        await self._database.write(write)

    async def states(self, phases: Sequence[str] = ()) -> list[StateRow]:
        """Return the states of all alerts, or of those in certain phases."""
        names = {f"phase_{number}": phase for number, phase in enumerate(phases)}
        where = f" WHERE phase IN ({', '.join(f':{name}' for name in names)})" if names else ""
        statement = text(_STATES + where)
        return await self._database.read(
            lambda connection: [StateRow(*row) for row in connection.execute(statement, names)]
        )

    async def history(
        self,
        limit: int,
        *,
        before: tuple[int, str, int] | None = None,
        since_ms: int = 0,
        until_ms: int | None = None,
        rule_id: str | None = None,
        alert_id: str | None = None,
    ) -> list[TransitionRow]:
        """Return transitions, latest first: of [since_ms, until_ms), and earlier than the one that `before` names."""
        conditions, values = ["at_ms >= :since_ms"], {"since_ms": since_ms, "limit": limit}
        more: dict[str, object] = dict(values)
        if until_ms is not None:
            conditions.append("at_ms < :until_ms")
            more["until_ms"] = until_ms
        if before is not None:
            conditions.append("(at_ms, alert_id, sequence) < (:at_ms, :before_id, :sequence)")
            more |= {"at_ms": before[0], "before_id": before[1], "sequence": before[2]}
        for name, value in (("rule_id", rule_id), ("alert_id", alert_id)):
            if value is not None:
                conditions.append(f"{name} = :{name}")
                more[name] = value
        order = "ORDER BY at_ms DESC, alert_id DESC, sequence DESC LIMIT :limit"
        statement = text(f"{_HISTORY} WHERE {' AND '.join(conditions)} {order}")
        return await self._database.read(
            lambda connection: [TransitionRow(*row) for row in connection.execute(statement, more)]
        )

    async def expire(self, before_ms: int) -> int:
        """Delete what ended before a time; return how many rows that were."""
        return await self._database.write(
            lambda connection: sum(connection.execute(delete, {"before_ms": before_ms}).rowcount for delete in _EXPIRE)
        )
