"""How many bytes each tier of the history and the kept spans take up, indexes included.

Asked by `upkeep.py` now and then. PostgreSQL keeps count by itself. SQLite has to look at every page of a table, which
is done for files up to a size only, and not at all where it was built without that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import Connection, Table, text
from sqlalchemy.exc import OperationalError

from storage.dialects import Dialect
from storage.tiers import Tier

TIER_NAMES: Final = ("finest", "medium", "coarse")
TRACES: Final = "traces"
LARGEST_COUNTED_BYTES: Final = 2 * 2**30

_ON_POSTGRES: Final = text("SELECT coalesce(sum(pg_total_relation_size(relid)), 0) FROM pg_partition_tree(:name)")
_PARTS: Final = text("SELECT name FROM sqlite_master WHERE tbl_name = :name AND rootpage > 0")
_ON_SQLITE: Final = text("SELECT coalesce(sum(pgsize), 0) FROM dbstat WHERE name = :name AND aggregate = TRUE")


def tier_sizes(
    connection: Connection, dialect: Dialect, tiers: Sequence[Tier], traces: Sequence[Table]
) -> Mapping[str, int]:
    """Return the bytes of each tier by its name, nothing where they cannot be told."""
    parts = {name: tier.tables for name, tier in zip(TIER_NAMES, tiers, strict=True)} | {TRACES: tuple(traces)}
    size_of = _size_on_postgres if dialect.is_partitioned else _size_on_sqlite
    try:
        return {name: sum(size_of(connection, table.name) for table in tables) for name, tables in parts.items()}
    except OperationalError as error:
        if "dbstat" in str(error.orig):
            return {}
        raise


def _size_on_postgres(connection: Connection, table: str) -> int:
    return int(connection.scalar(_ON_POSTGRES, {"name": table}) or 0)


def _size_on_sqlite(connection: Connection, table: str) -> int:
    names = connection.scalars(_PARTS, {"name": table}).all()
    return sum(int(connection.scalar(_ON_SQLITE, {"name": name}) or 0) for name in names)
