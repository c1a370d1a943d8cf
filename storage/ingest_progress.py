"""How far behind each processor is, noted in the database, so that readers in other processes know what to trust.

Written every few seconds by whoever runs a processor, read by the evaluator of alerts.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from sqlalchemy import text

from storage.database import Database


class Progress(NamedTuple):
    """A processor's last word. `beat` grows with each, by which the living are told from the dead without a clock.

    `lag_ms` is the age of the oldest batch that it has in hand, 0 if it has none; `trouble` says why it gets none, or
    is empty.
    """

    writer: int
    beat: int
    noted_ms: int
    lag_ms: int
    trouble: str


_READ: Final = text("SELECT writer, beat, noted_ms, lag_ms, trouble FROM ingest_progress")
_PUT: Final = text(
    "INSERT INTO ingest_progress (writer, beat, noted_ms, lag_ms, trouble) "
    "VALUES (:writer, :beat, :noted_ms, :lag_ms, :trouble) ON CONFLICT (writer) DO UPDATE SET "
    "beat = excluded.beat, noted_ms = excluded.noted_ms, lag_ms = excluded.lag_ms, trouble = excluded.trouble"
)
_REMOVE: Final = text("DELETE FROM ingest_progress WHERE writer = :writer OR noted_ms < :before_ms")
_FORGOTTEN_AFTER_MS: Final = 3_600_000


class IngestProgress:
    """The progress of all processors of a database. Everything raises `StorageUnavailableError`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, progress: Progress) -> None:
        """Note how far a processor is."""
        await self._database.write(lambda connection: connection.execute(_PUT, progress._asdict()) and None)

    async def remove(self, writer: int, now_ms: int) -> None:
        """Forget a processor that ends, and those that ended long ago without a word."""
        values = {"writer": writer, "before_ms": now_ms - _FORGOTTEN_AFTER_MS}
        await self._database.write(lambda connection: connection.execute(_REMOVE, values) and None)

    async def read(self) -> list[Progress]:
        """Return the last word of every processor."""
        return await self._database.read(lambda connection: [Progress(*row) for row in connection.execute(_READ)])
