"""Deleting the oldest of a tier, when the next tier has it: row by row on SQLite, whole partitions on PostgreSQL.

Run by `upkeep.py` for what is past its age, and before that when the disk fills; one call is one transaction.
What `tiers.py` says of `retired_to_s` and `cleared_to_s` holds after each of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, Table, delete, func, select, tuple_, update

from storage.disk_guard import kept_s, may_go_before
from storage.partitions import drop_partitions, droppable_to, lock_out, partitions_of
from storage.reads import read_held
from storage.schema import rollups_due
from storage.schema import tiers as tiers_table
from storage.tiers import COARSE, FINEST, MEDIUM, Held, Tier, floor_to


class Retired(NamedTuple):
    """What one transaction deleted, and whether there is more to delete."""

    rows: int = 0
    partitions: int = 0
    has_more: bool = False


def retire_partitions(connection: Connection, tiers: Sequence[Tier], rank: int, before_s: int) -> Retired:
    """Drop the partitions of a tier that hold nothing from `before_s` on, as far as the next tier has it all."""
    tier = tiers[rank]
    held = read_held(connection)
    to_s = droppable_to(connection, tier, _limit_s(connection, tiers, held, rank, before_s))
    if to_s <= held[rank].retired_to_s:
        return Retired()
    lock_out(connection, tier)
    # A commit that was under way is seen only now; any later one finds the partition gone and writes to the rest.
    if _limit_s(connection, tiers, held, rank, before_s) < to_s:
        return Retired()
    dropped = drop_partitions(connection, tier, 0 if rank == COARSE else held[rank].cleared_to_s, to_s)
    _note(connection, rank, Held(to_s, to_s))
    return Retired(partitions=dropped)


def retire_rows(connection: Connection, tiers: Sequence[Tier], rank: int, before_s: int, max_rows: int) -> Retired:
    """Delete the oldest rows of a tier from before `before_s`, as far as the next tier has it all.

    About `max_rows` rows, but always a whole bucket of the next tier where commits may write.
    """
    tier, held = tiers[rank], read_held(connection)
    limit_s = _limit_s(connection, tiers, held, rank, before_s)
    retired_s, cleared_s = held[rank].retired_to_s, held[rank].cleared_to_s
    if cleared_s < retired_s:
        deleted, has_more = _delete_some(connection, tier, cleared_s, retired_s, max_rows)
        if not has_more:
            _note(connection, rank, Held(retired_s, retired_s))
        return Retired(deleted, has_more=has_more or retired_s < limit_s)
    if limit_s <= retired_s:
        # What came to the last tier late is deleted here; in the others it is moved on when it is rolled up.
        if rank != COARSE:
            return Retired()
        deleted, has_more = _delete_some(connection, tier, 0, retired_s, max_rows)
        return Retired(deleted, has_more=has_more)
    first_s = _first_in(connection, tier, retired_s, limit_s)
    if first_s is None:
        _note(connection, rank, Held(limit_s, limit_s))
        return Retired()
    enough_s = min(_start_after(connection, table, retired_s, max_rows) or limit_s for table in tier.tables)
    to_s = min(floor_to(max(enough_s, first_s + tier.unit_s), tier.unit_s), limit_s)
    if rank != FINEST:
        _note(connection, rank, Held(to_s, cleared_s))
        return Retired(has_more=True)
    deleted = sum(
        connection.execute(delete(table).where(table.c.start_s >= retired_s, table.c.start_s < to_s)).rowcount
        for table in tier.tables
    )
    _note(connection, rank, Held(to_s, to_s))
    return Retired(deleted, has_more=to_s < limit_s)


def next_cutoff(
    connection: Connection, tiers: Sequence[Tier], rank: int, is_partitioned: bool, now_s: int
) -> int | None:
    """Return before when the oldest part of a tier lies that may go when space is short, `None` when there is none."""
    tier, held = tiers[rank], read_held(connection)[rank]
    first_s = _first_in(connection, tier, held.retired_to_s, None)
    if is_partitioned and first_s is not None:
        parts = (part for table in tier.tables for part in partitions_of(connection, table.name))
        ends = [part.end_s for part in parts if (part.start_s or 0) <= first_s < part.end_s]
        if ends:  # a partition goes whole
            return max(ends) if max(ends) <= now_s - kept_s(tier) else None
    return may_go_before(tier, first_s, now_s)


def _limit_s(connection: Connection, tiers: Sequence[Tier], held: Sequence[Held], rank: int, before_s: int) -> int:
    """Return up to when a tier may be retired: not what is due, and not what a finer tier still has."""
    unit_s = tiers[rank].unit_s
    limit_s = before_s
    from_s = held[min(rank, MEDIUM)].retired_to_s
    for coarser in (MEDIUM, COARSE)[: rank + 1]:
        is_due = (rollups_due.c.tier_s == tiers[coarser].width_s) & (rollups_due.c.start_s >= from_s)
        first_s = connection.scalar(select(func.min(rollups_due.c.start_s)).where(is_due))
        limit_s = limit_s if first_s is None else min(limit_s, first_s)
    if rank != FINEST:
        limit_s = min(limit_s, held[rank - 1].retired_to_s)
    return floor_to(limit_s, unit_s)


def _note(connection: Connection, rank: int, held: Held) -> None:
    values = {"retired_to_s": held.retired_to_s, "cleared_to_s": held.cleared_to_s}
    connection.execute(update(tiers_table).where(tiers_table.c.rank == rank).values(values))


def _first_in(connection: Connection, tier: Tier, from_s: int, to_s: int | None) -> int | None:
    """Return the start of the oldest bucket from `from_s` to before `to_s`, if there is any."""
    found = []
    for table in tier.tables:
        oldest = select(func.min(table.c.start_s)).where(table.c.start_s >= from_s)
        found.append(connection.scalar(oldest if to_s is None else oldest.where(table.c.start_s < to_s)))
    return min((start_s for start_s in found if start_s is not None), default=None)


def _start_after(connection: Connection, table: Table, from_s: int, rows: int) -> int | None:
    """Return the start of the row that comes after so many, of those from `from_s` on, if there is one."""
    start_s = table.c.start_s
    found: int | None = connection.scalar(
        select(start_s).where(start_s >= from_s).order_by(start_s).limit(1).offset(rows)
    )
    return found


def _delete_some(connection: Connection, tier: Tier, from_s: int, to_s: int, max_rows: int) -> tuple[int, bool]:
    """Delete up to `max_rows` rows of each table; return how many were, and whether there may be more."""
    deleted = []
    for table in tier.tables:
        key = tuple_(*table.primary_key.columns)
        old = select(*table.primary_key.columns).where(table.c.start_s >= from_s, table.c.start_s < to_s)
        deleted.append(connection.execute(delete(table).where(key.in_(old.limit(max_rows)))).rowcount)
    return sum(deleted), max_rows in deleted
