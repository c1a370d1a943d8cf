"""The last word of every process of ModelWatch, kept in the database so that any of them can tell of all.

Written by `self_watch/`, read by `query/pipeline/`. What processes counted that are long gone stays in one sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import structlog
from sqlalchemy import Connection, text

from storage.database import Database
from storage.ports import StorageUnavailableError
from telemetry import Figures, ProcessReport

log = structlog.get_logger(__name__)

PAST: Final = "past"
"""The `process_id` of the report that holds the counters of all processes that were forgotten."""

_READ: Final = text("SELECT document FROM process_reports")
_READ_EXPIRED: Final = text("SELECT document FROM process_reports WHERE noted_ms < :before_ms OR process_id = :past")
_DELETE: Final = text("DELETE FROM process_reports WHERE process_id = :process_id")
_PUT: Final = text(
    "INSERT INTO process_reports (process_id, noted_ms, document) VALUES (:process_id, :noted_ms, :document) "
    "ON CONFLICT (process_id) DO UPDATE SET noted_ms = excluded.noted_ms, document = excluded.document "
    "WHERE process_reports.noted_ms <= excluded.noted_ms"
)
_NEVER_MS: Final = 2**62
"""The sum is never too old."""


class ProcessReports:
    """The reports of all processes of a database. Everything raises `StorageUnavailableError`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, report: ProcessReport) -> None:
        """Keep a report in the place of the process's last one, unless that one is newer."""
        await self._database.write(lambda connection: _put(connection, report, report.noted_ms))

    async def read(self) -> list[ProcessReport]:
        """Return the last report of every process, and under the id `PAST` what forgotten ones had counted."""
        return await self._database.read(lambda connection: _reports(connection.scalars(_READ).all()))

    async def forget(self, before_ms: int) -> None:
        """Move the counters of processes that were last heard of before then into the sum, all or nothing."""
        await self._database.write(lambda connection: _forget(connection, before_ms))


def _forget(connection: Connection, before_ms: int) -> None:
    values = {"before_ms": before_ms, "past": PAST}
    found = _reports(connection.scalars(_READ_EXPIRED, values).all())
    if all(report.process_id == PAST for report in found):
        return
    deleted = sum(connection.execute(_DELETE, {"process_id": report.process_id}).rowcount for report in found)
    if deleted != len(found):
        raise StorageUnavailableError("another process adds the reports up")  # whoever deletes them all does
    counters = Figures(Figures.sum_of(report.figures for report in found).counters)
    since_ms = min(report.started_ms for report in found)
    past = ProcessReport(PAST, PAST, "", "", 0, since_ms, before_ms, has_ended=True, figures=counters)
    _put(connection, past, _NEVER_MS)


def _put(connection: Connection, report: ProcessReport, noted_ms: int) -> None:
    connection.execute(_PUT, {"process_id": report.process_id, "noted_ms": noted_ms, "document": report.to_text()})


def _reports(texts: Sequence[str]) -> list[ProcessReport]:
    found = []
    for one in texts:
        try:
            found.append(ProcessReport.from_text(one))
        except ValueError:
            log.warning("the report of a process cannot be read, and is left out")
    return found
