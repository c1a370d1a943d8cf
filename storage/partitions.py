"""The partitions of tables on PostgreSQL: made ahead, and dropped whole when all they hold is old.

Every table has a partition for the rest: whatever lies before, between and beyond the others goes there, so that no
commit ever fails for a missing partition. Run by `upkeep.py`; the names of partitions tell their ranges.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from sqlalchemy import Connection, Table, text

from storage.tiers import Tier, floor_to

_AHEAD: Final = 2
"""Partitions that are there before their time: if nobody makes any for that long, points go to the rest."""
_MAX_AT_ONCE: Final = 8
_NAME: Final = re.compile(r"_(first|\d+)_(\d+)$")
_CHILDREN: Final = text(
    "SELECT child.relname FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid "
    "WHERE inhparent = to_regclass(:parent)"
)
_LOCK_TIMEOUT: Final = "SET LOCAL lock_timeout = '500ms'"
"""Whoever waits for an exclusive lock makes all others wait behind: better to give up and come again."""


class Partitioned(Protocol):
    """Tables whose partitions are made and dropped together: a tier, or the kept spans."""

    @property
    def tables(self) -> Sequence[Table]: ...

    @property
    def partition_s(self) -> int:
        """The time that one partition holds."""

    @property
    def is_rewritten(self) -> bool:
        """Whether rows are changed after they were written."""


class Partition(NamedTuple):
    """A partition that holds [start_s, end_s); the first one begins with time itself."""

    name: str
    start_s: int | None
    end_s: int


def partitions_of(connection: Connection, table: str) -> list[Partition]:
    """Return the partitions of a table but the one for the rest, oldest first."""
    names = connection.scalars(_CHILDREN, {"parent": table})
    matches = [match for name in names if (match := _NAME.search(name))]
    parts = [Partition(m.string, None if m[1] == "first" else int(m[1]), int(m[2])) for m in matches]
    return sorted(parts, key=lambda part: part.end_s)


def extend_partitions(connection: Connection, tier: Partitioned, now_s: int) -> int:
    """Make the partitions for now and the time ahead that are missing; return how many were made.

    They adjoin the last one, whatever the width was then. After a long pause they begin anew at the present.
    """
    return sum(_extend(connection, tier, table.name, now_s) for table in tier.tables)


def drop_partitions(connection: Connection, tier: Partitioned, from_s: int, to_s: int) -> int:
    """Drop the partitions that end by `to_s` and what the rest holds of [from_s, to_s); return how many were dropped.

    The caller holds `lock_out`.
    """
    dropped = 0
    for table in tier.tables:
        old = [part for part in partitions_of(connection, table.name) if part.end_s <= to_s]
        for part in old:
            connection.exec_driver_sql(f"DROP TABLE {part.name}")
        rest = text(f"DELETE FROM {table.name}_rest WHERE start_s >= :from_s AND start_s < :to_s")
        connection.execute(rest, {"from_s": from_s, "to_s": to_s})
        dropped += len(old)
    return dropped


def lock_out(connection: Connection, tier: Partitioned) -> None:
    """Wait for all who read or write the tier, half a second at most, and keep others out until the transaction ends.

    What they committed is seen by the statements that follow.
    """
    names = ", ONLY ".join(table.name for table in tier.tables)
    connection.exec_driver_sql(_LOCK_TIMEOUT)
    connection.exec_driver_sql(f"LOCK TABLE ONLY {names} IN ACCESS EXCLUSIVE MODE")


def droppable_to(connection: Connection, tier: Partitioned, limit_s: int) -> int:
    """Return the latest time up to which everything before `limit_s` can go without cutting a partition in two."""
    parts = [part for table in tier.tables for part in partitions_of(connection, table.name)]
    while cut := next((part for part in parts if (part.start_s or 0) < limit_s < part.end_s), None):
        limit_s = cut.start_s or 0
    return limit_s


def adopt_first(connection: Connection, tier: Tier, end_s: int) -> None:
    """Make the table of all points there were before partitions the first partition, up to `end_s`."""
    table, first = tier.table.name, f"{tier.table.name}_first"
    if connection.scalar(text(f"SELECT 1 FROM {first} LIMIT 1")) is None:
        connection.exec_driver_sql(f"DROP TABLE {first}")
        return
    _move(connection, first, f"{table}_rest", end_s, None)
    name = f"{first}_{end_s}"
    connection.exec_driver_sql(f"ALTER TABLE {first} RENAME TO {name}")
    connection.exec_driver_sql(f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM (MINVALUE) TO ({end_s})")


def _extend(connection: Connection, tier: Partitioned, table: str, now_s: int) -> int:
    width_s = tier.partition_s
    end_s = max((part.end_s for part in partitions_of(connection, table)), default=0)
    start_s = max(end_s, floor_to(now_s, width_s))
    made = 0
    while start_s < now_s + _AHEAD * width_s and made < _MAX_AT_ONCE:
        next_s = floor_to(start_s, width_s) + width_s
        _make(connection, tier, table, start_s, next_s)
        start_s = next_s
        made += 1
    return made


def _make(connection: Connection, tier: Partitioned, table: str, start_s: int, end_s: int) -> None:
    name, rest = f"{table}_{start_s}_{end_s}", f"{table}_rest"
    # Free space in each page keeps the rewriting of the current bucket within the page, without new index entries.
    storage = " WITH (fillfactor = 70)" if tier.is_rewritten else ""
    connection.exec_driver_sql(_LOCK_TIMEOUT)
    # Commits go on meanwhile, unless it is the rest that they write to.
    connection.exec_driver_sql(f"CREATE TABLE {name} (LIKE {table} INCLUDING ALL){storage}")
    connection.exec_driver_sql(f"LOCK TABLE ONLY {rest} IN ACCESS EXCLUSIVE MODE")
    _move(connection, rest, name, start_s, end_s)
    connection.exec_driver_sql(f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ({start_s}) TO ({end_s})")


def _move(connection: Connection, source: str, target: str, start_s: int, end_s: int | None) -> None:
    before = "" if end_s is None else f" AND start_s < {end_s}"
    connection.exec_driver_sql(
        f"WITH moved AS (DELETE FROM {source} WHERE start_s >= {start_s}{before} RETURNING *) "
        f"INSERT INTO {target} SELECT * FROM moved"
    )
