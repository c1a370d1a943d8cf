"""Deleting what is too old, a little at a time.

A component that runs beside the processor, the only role that writes; several may run at once.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Protocol

import structlog
from sqlalchemy import Column, Connection, Table, delete, select, tuple_

from storage.schema import batches, red_points, series
from storage.series_catalog import RENEWAL_S
from storage.settings import StorageSettings
from storage.tasks import end_task
from telemetry import ModelWatchError, NowNs

log = structlog.get_logger(__name__)

_NS_PER_S = 1_000_000_000
_PAUSE_S = 0.05


@dataclass(frozen=True, slots=True)
class Cutoffs:
    """Unix seconds before which points, batch ids and unused series are deleted."""

    points_s: int
    batches_s: int
    series_s: int


class Expiring(Protocol):
    """What retention needs of the history."""

    async def delete_expired(self, cutoffs: Cutoffs, max_rows: int) -> int:
        """Delete up to `max_rows` rows of each kind; return how many were deleted."""
        ...


def cutoffs_at(now_s: int, settings: StorageSettings) -> Cutoffs:
    """Return what is too old at `now_s`.

    A series goes when no point of it can be left: writers renew those in use daily, and its points go after their
    retention; a third day covers clocks that disagree.
    """
    return Cutoffs(
        points_s=now_s - settings.points_retention_s,
        batches_s=now_s - settings.batch_ids_retention_s,
        series_s=now_s - settings.points_retention_s - 3 * RENEWAL_S,
    )


def delete_expired(connection: Connection, cutoffs: Cutoffs, max_rows: int) -> int:
    """Delete up to `max_rows` of the oldest rows of each table within the caller's transaction."""
    return (
        _delete_oldest(connection, red_points, red_points.c.start_s, cutoffs.points_s, max_rows)
        + _delete_oldest(connection, batches, batches.c.committed_s, cutoffs.batches_s, max_rows)
        + _delete_oldest(connection, series, series.c.noted_s, cutoffs.series_s, max_rows)
    )


def _delete_oldest(connection: Connection, table: Table, time_column: Column[int], before_s: int, limit: int) -> int:
    key = tuple_(*table.primary_key.columns)
    # Rows that a writer holds are left for the next round, so deleting never waits and never deadlocks.
    oldest = (
        select(*table.primary_key.columns)
        .where(time_column < before_s)
        .order_by(time_column)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return connection.execute(delete(table).where(key.in_(oldest))).rowcount


class Retention:
    """Deletes in the background from `start` to `stop`."""

    def __init__(self, settings: StorageSettings, history: Expiring, now_ns: NowNs = time.time_ns) -> None:
        self._settings = settings
        self._history = history
        self._now_ns = now_ns
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin the first round."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="retention")

    async def stop(self) -> None:
        """End at once; a transaction under way is finished by the history."""
        task, self._task = self._task, None
        if task is not None:
            await end_task(task)

    async def _run(self) -> None:
        while True:
            try:
                await self.delete_all_expired()
            except ModelWatchError as error:
                log.warning("old data could not be deleted", reason=str(error))
            await asyncio.sleep(self._settings.retention_interval_s)

    async def delete_all_expired(self) -> int:
        """Delete everything that is too old now, chunk by chunk; return how many rows that were."""
        cutoffs = cutoffs_at(self._now_ns() // _NS_PER_S, self._settings)
        total = 0
        while deleted := await self._history.delete_expired(cutoffs, self._settings.retention_chunk_rows):
            total += deleted
            await asyncio.sleep(_PAUSE_S)
        if total:
            log.info("old data deleted", rows=total)
        return total
