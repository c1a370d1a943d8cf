"""A long history within seconds: rows of minutes or hours written as roll-ups write them, by the quickest way there is.

Shared by the benchmarks that ask about days.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection

from storage.commits import Row
from storage.history import SqlHistory
from storage.partitions import extend_partitions
from storage.summaries import summaries_of
from storage.tiers import Tier
from telemetry import RedPoint
from telemetry.series import series_id_of


async def load_tier(history: SqlHistory, tier: Tier, points: Sequence[RedPoint], start_s: int, end_s: int) -> None:
    """Write the same points, whose series are known already, into every bucket of a tier from `start_s` to `end_s`."""

    def load(connection: Connection) -> None:
        if history.database.dialect.is_partitioned:
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")  # a busy machine takes its time
            for second in range(start_s, end_s, tier.partition_s):
                extend_partitions(connection, tier, second)
        whole = sorted(
            Row(0, series_id_of(point.series), point.calls, point.errors, point.durations.to_bytes())
            for point in points
        )
        for table, bucket in (
            (tier.table, whole),
            (tier.summary_table, summaries_of(connection, history.catalog, whole)),
        ):
            assert table is not None
            rows = ((at_s, *row[1:]) for at_s in range(start_s, end_s, tier.width_s) for row in bucket)
            _insert(connection, table.name, rows)

    await history.database.write(load, 120)


def _insert(connection: Connection, table: str, rows: Iterable[tuple[Any, ...]]) -> None:
    driver: Any = connection.connection.driver_connection
    if connection.dialect.name == "sqlite":
        driver.executemany(f"INSERT INTO {table} VALUES (?, ?, ?, ?, ?)", rows)
        return
    with driver.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(["int8", "int8", "int8", "int8", "bytea"])
        for row in rows:
            copy.write_row(row)
