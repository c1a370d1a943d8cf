"""What is too old to keep: the age of each tier, of batch ids, and of series that nobody uses.

Asked by `upkeep.py`. Points go through `retirement.py`; ids and series are deleted here, a few rows at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Column, Connection, Table, delete, select, tuple_

from storage.schema import attempts, batches, metric_series, series, service_instances
from storage.series_catalog import RENEWAL_S
from storage.settings import StorageSettings
from storage.tiers import Tier


@dataclass(frozen=True, slots=True)
class Cutoffs:
    """Unix seconds before which the points of each tier, batch ids, unused series and instances are deleted."""

    points_s: Sequence[int]
    batches_s: int
    series_s: int
    instances_s: int


def cutoffs_at(now_s: int, tiers: Sequence[Tier], settings: StorageSettings) -> Cutoffs:
    """Return what is too old at `now_s`.

    A series goes when no point of it can be left: writers renew those in use daily, and its points go after their
    retention and what is deleted along with them; a third day covers clocks that disagree.
    """
    last = tiers[-1]
    return Cutoffs(
        points_s=[now_s - tier.retention_s for tier in tiers],
        batches_s=now_s - settings.batch_ids_retention_s,
        series_s=now_s - last.retention_s - last.partition_s - 3 * RENEWAL_S,
        instances_s=now_s - settings.instances_retention_s,
    )


def delete_expired(connection: Connection, cutoffs: Cutoffs, max_rows: int) -> int:
    """Delete up to `max_rows` of the oldest batch ids, and as many of each other kind, in the caller's transaction."""
    aged = (
        (batches, batches.c.committed_s, cutoffs.batches_s),
        (attempts, attempts.c.noted_s, cutoffs.batches_s),
        (series, series.c.noted_s, cutoffs.series_s),
        (metric_series, metric_series.c.noted_s, cutoffs.series_s),
        (service_instances, service_instances.c.last_seen_s, cutoffs.instances_s),
    )
    return sum(_delete_oldest(connection, *each, max_rows) for each in aged)


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
