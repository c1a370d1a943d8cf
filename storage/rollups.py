"""Rolling up: making the rows of a coarser bucket from the finer ones, exactly and any number of times.

Run by `upkeep.py`, one bucket in one transaction. `gather` reads, `store` writes; between the two anything may happen:

- Every commit that touches the bucket changes the token of a mark or adds a mark. `store` deletes exactly the marks
  that `gather` saw; if one of them is not there any more, nothing is kept and the bucket stays due.
- A mark that came in between stays. The bucket is still due, and due buckets are read from the finer rows.
- The coarser rows are replaced, never added to, so that rolling up twice is rolling up once.

Where the finer tier has been retired there is nothing to make the bucket from again. What came since then is added to
the coarser rows and taken out of the finer tier, in the same transaction, and so are its summaries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Table, bindparam, delete, func, select, text, tuple_

from storage.commits import Mark, marking, new_token
from storage.dialects import Dialect
from storage.reads import read_held
from storage.row_kinds import ROW_KINDS, RowKind
from storage.schema import rollups_due
from storage.series_catalog import SeriesCatalog
from storage.summaries import summaries_of
from storage.tiers import COARSE, FINEST, Held, Tier, floor_to

_ROWS_AT_ONCE: Final = 20_000
_ROWS_PER_INSERT: Final = 2_000
_DISAGREEMENT_S: Final = 60
"""How far the clocks of processors may be apart without a word about it."""
_DUE: Final = text(
    "SELECT tier_s, start_s FROM rollups_due WHERE start_s + tier_s <= :ended_s GROUP BY tier_s, start_s "
    "HAVING min(noted_s) NOT BETWEEN :waits_from_s AND :waits_to_s ORDER BY tier_s, start_s DESC LIMIT :at_most"
)
_MARKS: Final = select(rollups_due.c.writer, rollups_due.c.token).where(
    rollups_due.c.tier_s == bindparam("tier_s"), rollups_due.c.start_s == bindparam("start_s")
)
_DELETE_MARKS: Final = delete(rollups_due).where(
    rollups_due.c.tier_s == bindparam("tier_s"),
    rollups_due.c.start_s == bindparam("start_s"),
    tuple_(rollups_due.c.writer, rollups_due.c.token).in_(bindparam("seen", expanding=True)),
)


class Bucket(NamedTuple):
    """A bucket of the tier `rank` that begins at `start_s`."""

    rank: int
    start_s: int


class OutdatedError(Exception):
    """What was gathered is not the truth any more; the transaction is to be rolled back, and tried again later."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """A bucket as it was read: the marks, what the finer tier held, and the rows to keep."""

    bucket: Bucket
    marks: Sequence[tuple[int, int]]
    held: Held
    rows: Sequence[Sequence[Any]]
    """For each table of the tier."""


def due_buckets(
    connection: Connection, tiers: Sequence[Tier], now_s: int, grace_s: float, at_most: int
) -> list[Bucket]:
    """Return buckets that ended, and were first marked, more than the grace ago; finer tiers first, then the newest.

    What was marked by a clock that is ahead by more than the grace and a minute does not wait for that time to come.
    """
    limit_s = int(now_s - grace_s)
    waits_to_s = int(now_s + grace_s) + _DISAGREEMENT_S
    rank_of = {tier.width_s: tier.rank for tier in tiers if tier.rank != FINEST}
    bounds = {"ended_s": limit_s, "waits_from_s": limit_s + 1, "waits_to_s": waits_to_s}
    found = connection.execute(_DUE, {**bounds, "at_most": at_most})
    return [Bucket(rank_of[tier_s], start_s) for tier_s, start_s in found]


def count_due(connection: Connection) -> int:
    """Return how many buckets are marked, those that have not ended included."""
    buckets = select(rollups_due.c.tier_s, rollups_due.c.start_s).distinct().subquery()
    return connection.scalar(select(func.count()).select_from(buckets)) or 0


def gather(
    connection: Connection, dialect: Dialect, tiers: Sequence[Tier], catalog: SeriesCatalog, bucket: Bucket
) -> Gathered | None:
    """Read what a bucket is made of; `None` when it is not due, or has to wait until dead rows are deleted."""
    tier, finer = tiers[bucket.rank], tiers[bucket.rank - 1]
    key = {"tier_s": tier.width_s, "start_s": bucket.start_s}
    marks = [(writer, token) for writer, token in connection.execute(_MARKS, key)]
    held = read_held(connection)
    own = held[bucket.rank]
    if not marks or _is_dead(held[finer.rank], bucket.start_s) or _is_dead(own, bucket.start_s):
        return None
    rows: list[Sequence[Any]] = [[] for _ in tier.tables]
    if bucket.start_s >= held[finer.rank].retired_to_s:
        red, metrics = (_summed(connection, dialect, kind, tiers, bucket) for kind in ROW_KINDS)
        rows = [red, metrics, summaries_of(connection, catalog, red)]
    return Gathered(bucket, marks, held[finer.rank], rows)


def store(
    connection: Connection,
    dialect: Dialect,
    tiers: Sequence[Tier],
    catalog: SeriesCatalog,
    gathered: Gathered,
    writer: int,
    now_s: int,
) -> int:
    """Keep what was gathered and mark the next tier; return the number of rows. Raises `OutdatedError`."""
    bucket = gathered.bucket
    tier, finer = tiers[bucket.rank], tiers[bucket.rank - 1]
    end_s = bucket.start_s + tier.width_s
    if read_held(connection)[finer.rank] != gathered.held:
        raise OutdatedError
    rows = gathered.rows
    if bucket.start_s < gathered.held.retired_to_s:
        # Points before marks, as in commits. What is returned is the latest, and nobody can add to it any more.
        red, metrics = (_moved(connection, dialect, kind, finer, tier, bucket.start_s) for kind in ROW_KINDS)
        rows = [red, metrics, summaries_of(connection, catalog, red)]
        if finer.summary_table is not None:
            _delete(connection, finer.summary_table, bucket.start_s, end_s)
    key = {"tier_s": tier.width_s, "start_s": bucket.start_s}
    if connection.execute(_DELETE_MARKS, {**key, "seen": gathered.marks}).rowcount != len(gathered.marks):
        raise OutdatedError
    for table, of_table in zip(tier.tables, rows, strict=True):
        append = dialect.writing.append(table)
        _delete(connection, table, bucket.start_s, end_s)
        for first in range(0, len(of_table), _ROWS_PER_INSERT):
            append(connection, of_table[first : first + _ROWS_PER_INSERT])
    if bucket.rank != COARSE:
        next_s = tiers[bucket.rank + 1].width_s
        mark = Mark(next_s, floor_to(bucket.start_s, next_s), writer, now_s, new_token())
        marking(dialect)(connection, [mark])
    return sum(map(len, rows))


def _is_dead(held: Held, start_s: int) -> bool:
    return held.cleared_to_s <= start_s < held.retired_to_s


def _summed(
    connection: Connection, dialect: Dialect, kind: RowKind, tiers: Sequence[Tier], bucket: Bucket
) -> list[Any]:
    """Return the rows of a bucket as its finer tier has them, added up."""
    tier, finer = tiers[bucket.rank], tiers[bucket.rank - 1]
    rows: list[Any] = []
    # One finer bucket at a time, so that what is held in memory is bounded by the series and not by the time.
    for start_s in range(bucket.start_s, bucket.start_s + tier.width_s, finer.width_s):
        rows += _read(connection, dialect, kind, finer, start_s, start_s + finer.width_s)
        if len(rows) > _ROWS_AT_ONCE:
            rows = kind.sum_rows(rows, tier.width_s)
    return kind.sum_rows(rows, tier.width_s)


def _moved(connection: Connection, dialect: Dialect, kind: RowKind, finer: Tier, tier: Tier, start_s: int) -> list[Any]:
    """Take what came late out of the finer tier; return it added to what the tier has."""
    end_s = start_s + tier.width_s
    moved = dialect.fetch(
        connection,
        f"DELETE FROM {kind.table_of(finer).name} WHERE start_s >= :from_s AND start_s < :to_s "
        f"RETURNING {kind.columns}",
        {"from_s": start_s, "to_s": end_s},
    )
    return kind.sum_rows([*moved, *_read(connection, dialect, kind, tier, start_s, end_s)], tier.width_s)


def _delete(connection: Connection, table: Table, from_s: int, to_s: int) -> None:
    connection.execute(delete(table).where(table.c.start_s >= from_s, table.c.start_s < to_s))


def _read(connection: Connection, dialect: Dialect, kind: RowKind, tier: Tier, from_s: int, to_s: int) -> list[Any]:
    table = kind.table_of(tier).name
    statement = f"SELECT {kind.columns} FROM {table} WHERE start_s >= :from_s AND start_s < :to_s"
    return dialect.fetch(connection, statement, {"from_s": from_s, "to_s": to_s})
