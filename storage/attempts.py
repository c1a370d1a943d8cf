"""Attempts that have not ended, in the database of the history: what is left of a process that died in one.

Implements `storage.ports.Attempts`; the processor asks it about the batches that came back to RabbitMQ.
"""

from __future__ import annotations

import time
from typing import Any, Final

from sqlalchemy import Connection, text

from storage.database import Database
from telemetry import NowNs

_NS_PER_S: Final = 1_000_000_000
_BEGIN: Final = text(
    "INSERT INTO attempts (batch_id, unended, noted_s) VALUES (:batch_id, 1, :now_s) ON CONFLICT (batch_id) "
    "DO UPDATE SET unended = attempts.unended + 1, noted_s = excluded.noted_s RETURNING unended"
)
_END: Final = text("UPDATE attempts SET unended = unended - 1 WHERE batch_id = :batch_id")
_FORGET_ENDED: Final = text("DELETE FROM attempts WHERE batch_id = :batch_id AND unended <= 0")
_FORGET: Final = text("DELETE FROM attempts WHERE batch_id = :batch_id")


class SqlAttempts:
    """`storage.ports.Attempts` on the database of a running history."""

    def __init__(self, database: Database, now_ns: NowNs = time.time_ns) -> None:
        self._database = database
        self._now_ns = now_ns

    async def begin(self, batch_id: bytes) -> int:
        """See `storage.ports.Attempts.begin`."""
        values = {"batch_id": batch_id, "now_s": self._now_ns() // _NS_PER_S}

        def note(connection: Connection) -> int:
            return int(connection.execute(_BEGIN, values).scalar_one())

        return await self._database.write(note) - 1

    async def end(self, batch_id: bytes) -> None:
        """See `storage.ports.Attempts.end`."""
        await self._execute(batch_id, _END, _FORGET_ENDED)

    async def forget(self, batch_id: bytes) -> None:
        """See `storage.ports.Attempts.forget`."""
        await self._execute(batch_id, _FORGET)

    async def _execute(self, batch_id: bytes, *statements: Any) -> None:
        def execute(connection: Connection) -> None:
            for statement in statements:
                connection.execute(statement, {"batch_id": batch_id})

        await self._database.write(execute)
