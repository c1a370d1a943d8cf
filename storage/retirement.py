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
    retired_s, cleared_s = held[rank]
    if cleared_s < retired_s:
        deleted = _delete_some(connection, tier.table, cleared_s, retired_s, max_rows)
        if deleted < max_rows:
            _note(connection, rank, Held(retired_s, retired_s))
        return Retired(deleted, has_more=deleted == max_rows or retired_s < limit_s)
    if limit_s <= retired_s:
        # What came to the last tier late is deleted here; in the others it is moved on when it is rolled up.
        deleted = _delete_some(connection, tier.table, 0, retired_s, max_rows) if rank == COARSE else 0
        return Retired(deleted, has_more=deleted == max_rows)
    start_s = tier.table.c.start_s
    first_s = connection.scalar(select(func.min(start_s)).where(start_s >= retired_s, start_s < limit_s))
    if first_s is None:
        _note(connection, rank, Held(limit_s, limit_s))
        return Retired()
    inside = select(start_s).where(start_s >= retired_s, start_s < limit_s).order_by(start_s)
    beyond_s = connection.scalar(inside.limit(1).offset(max_rows))
    to_s = limit_s if beyond_s is None else floor_to(max(beyond_s, first_s + tier.unit_s), tier.unit_s)
    if rank != FINEST:
        _note(connection, rank, Held(to_s, cleared_s))
        return Retired(has_more=True)
    deleted = connection.execute(delete(tier.table).where(start_s >= retired_s, start_s < to_s)).rowcount
    _note(connection, rank, Held(to_s, to_s))
    return Retired(deleted, has_more=to_s < limit_s)


def next_cutoff(
    connection: Connection, tiers: Sequence[Tier], rank: int, is_partitioned: bool, now_s: int
) -> int | None:
    """Return before when the oldest part of a tier lies that may go when space is short, `None` when there is none."""
    tier, held, start_s = tiers[rank], read_held(connection)[rank], tiers[rank].table.c.start_s
    if is_partitioned:
        ends = (part.end_s for part in partitions_of(connection, tier.table.name))
        end_s = next((end_s for end_s in ends if end_s > held.retired_to_s), None)
        return end_s if end_s is not None and end_s <= now_s - kept_s(tier) else None
    first_s = connection.scalar(select(func.min(start_s)).where(start_s >= held.retired_to_s))
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


def _delete_some(connection: Connection, table: Table, from_s: int, to_s: int, max_rows: int) -> int:
    key = tuple_(*table.primary_key.columns)
    some = select(*table.primary_key.columns).where(table.c.start_s >= from_s, table.c.start_s < to_s).limit(max_rows)
    return connection.execute(delete(table).where(key.in_(some))).rowcount
