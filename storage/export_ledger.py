"""How far the derived metrics of one target are, and which process exports them: a lease like that of the evaluator.

A round is one transaction under the lease: what was exported of every group, and the request that says so. The request
goes to the target's queue afterwards; who takes over sends again what the last one may not have sent.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, text

from storage import export_schema  # noqa: F401  the table that the statements speak of
from storage.database import Database
from telemetry import RetryableError


class LedgerLostError(RetryableError):
    """Another process exports for this target; nothing was written."""


class LedgerLease(NamedTuple):
    """Who exports for a target."""

    holder: str
    fence: int
    beat: int


class Ledger(NamedTuple):
    """What the last round left; both are empty before the first."""

    state: bytes
    pending: bytes


_MAKE: Final = text(
    "INSERT INTO export_ledgers (target, holder, fence, beat, state, pending) VALUES (:target, '', 0, 0, :none, :none) "
    "ON CONFLICT (target) DO NOTHING"
)
_SEE: Final = text("SELECT holder, fence, beat FROM export_ledgers WHERE target = :target")
_READ: Final = text("SELECT state, pending FROM export_ledgers WHERE target = :target")
_MINE: Final = "WHERE target = :target AND holder = :holder AND fence = :fence"
_TAKE: Final = text(
    "UPDATE export_ledgers SET holder = :holder, fence = fence + 1, beat = beat + 1 "
    "WHERE target = :target AND fence = :fence AND beat = :beat"
)
_RENEW: Final = text(f"UPDATE export_ledgers SET beat = beat + 1 {_MINE}")
_COMMIT: Final = text(f"UPDATE export_ledgers SET beat = beat + 1, state = :state, pending = :pending {_MINE}")
_SENT: Final = text(f"UPDATE export_ledgers SET beat = beat + 1, pending = :none {_MINE}")
_RELEASE: Final = text(f"UPDATE export_ledgers SET holder = '', beat = beat + 1 {_MINE}")


class ExportLedger:
    """The ledger of one target. Everything raises `StorageUnavailableError`, and writing `LedgerLostError`."""

    def __init__(self, database: Database, target: str) -> None:
        self._database = database
        self._target = target

    async def lease(self) -> LedgerLease:
        """Return who holds the lease; makes the row if there is none."""

        def see(connection: Connection) -> LedgerLease | None:
            found = connection.execute(_SEE, {"target": self._target}).one_or_none()
            return LedgerLease(*found) if found is not None else None

        seen = await self._database.read(see)
        if seen is None:
            values = {"target": self._target, "none": b""}
            await self._database.write(lambda connection: connection.execute(_MAKE, values) and None)
            seen = await self._database.read(see)
        assert seen is not None
        return seen

    async def take(self, holder: str, seen: LedgerLease) -> int | None:
        """Take the lease if nothing has moved since `seen`, and return the fence; `None` if something has."""
        values = {"target": self._target, "holder": holder, "fence": seen.fence, "beat": seen.beat}
        taken = await self._database.write(lambda connection: connection.execute(_TAKE, values).rowcount == 1)
        return seen.fence + 1 if taken else None

    async def release(self, holder: str, fence: int) -> None:
        """Give the lease up, so that another need not wait."""
        values = {"target": self._target, "holder": holder, "fence": fence}
        await self._database.write(lambda connection: connection.execute(_RELEASE, values) and None)

    async def read(self) -> Ledger:
        """Return what the last round left."""
        return await self._database.read(
            lambda connection: Ledger(*map(bytes, connection.execute(_READ, {"target": self._target}).one()))
        )

    async def renew(self, holder: str, fence: int) -> None:
        """Give a sign of life, and write nothing else."""
        await self._write(_RENEW, holder, fence)

    async def commit(self, holder: str, fence: int, ledger: Ledger) -> None:
        """Keep what a round made."""
        await self._write(_COMMIT, holder, fence, **ledger._asdict())

    async def sent(self, holder: str, fence: int) -> None:
        """Note that the request is in the queue of its target."""
        await self._write(_SENT, holder, fence, none=b"")

    async def _write(self, statement: Any, holder: str, fence: int, **values: bytes) -> None:
        every = {"target": self._target, "holder": holder, "fence": fence, **values}

        def write(connection: Connection) -> None:
            if connection.execute(statement, every).rowcount != 1:
                raise LedgerLostError(f"another process exports the derived metrics of {self._target!r} now")

        await self._database.write(write)
