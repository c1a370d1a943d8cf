"""How long kept spans are kept: to their age, and to the bytes that they may take up.

Run by `upkeep.py`; on PostgreSQL whole partitions are dropped, on SQLite rows are deleted some at a time.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, Table, text

from storage.dialects import Dialect
from storage.partitions import drop_partitions, lock_out, partitions_of
from storage.retirement import Retired
from storage.schema import kept_spans
from storage.settings import StorageSettings
from storage.tiers import floor_to

_HOUR_S: Final = 3_600
_PARTITIONS_KEPT: Final = 12
_LONGEST_S: Final = 6 * _HOUR_S
_ROW_BYTES: Final = 330
"""What a row takes beside its texts and its detail: numbers, ids, and six indexes; measured."""
_SAMPLE: Final = 500

_SPAN_OF_IDS: Final = text("SELECT MIN(rowid), MAX(rowid) FROM kept_spans")
_SIZE_OF_LATEST: Final = text(
    "SELECT AVG(LENGTH(detail) + 2 * LENGTH(service_name) + LENGTH(name) + LENGTH(http_route) + LENGTH(operation) "
    "+ LENGTH(service_instance_id)) FROM (SELECT * FROM kept_spans ORDER BY rowid DESC LIMIT :sample)"
)
_AT_PLACE: Final = text("SELECT start_s FROM kept_spans ORDER BY start_s LIMIT 1 OFFSET :place")
_DELETE: Final = text(
    "DELETE FROM kept_spans WHERE rowid IN "
    "(SELECT rowid FROM kept_spans WHERE start_s < :before_s ORDER BY start_s LIMIT :most)"
)


class TraceTable:
    """The table of kept spans, for those who make and drop its partitions."""

    is_rewritten = False

    def __init__(self, settings: StorageSettings) -> None:
        self.tables: tuple[Table, ...] = (kept_spans,)
        self.use(settings)

    def use(self, settings: StorageSettings) -> None:
        """Keep for as long, and up to as many bytes, as these settings say from now on."""
        self._retention_s = settings.traces_retention_s
        self._max_bytes = settings.max_traces_bytes
        self._chunk_rows = settings.retention_chunk_rows
        self.partition_s = max(60, floor_to(min(self._retention_s // _PARTITIONS_KEPT, _LONGEST_S), 60))

    def cutoff_s(self, connection: Connection, dialect: Dialect, now_s: int) -> int:
        """Return the second before which spans are to go, for their age or for want of room."""
        too_old_s = now_s - self._retention_s
        too_many_s = self._room_on_postgres(connection) if dialect.is_partitioned else self._room_on_sqlite(connection)
        return max(too_old_s, too_many_s)

    def delete_before(self, connection: Connection, dialect: Dialect, before_s: int) -> Retired:
        """Delete what ended before; on PostgreSQL what is in partitions that end by then, or in none."""
        if not dialect.is_partitioned:
            most = self._chunk_rows
            rows = connection.execute(_DELETE, {"before_s": before_s, "most": most}).rowcount
            return Retired(rows, has_more=rows == most)
        old = [part.end_s for part in partitions_of(connection, kept_spans.name) if part.end_s <= before_s]
        if old:
            lock_out(connection, self)
            return Retired(partitions=drop_partitions(connection, self, 0, max(old)))
        stray = text("DELETE FROM kept_spans_rest WHERE start_s < :before_s")
        return Retired(connection.execute(stray, {"before_s": before_s}).rowcount)

    def delete_oldest(self, connection: Connection, dialect: Dialect) -> Retired:
        """Delete the oldest step of spans, whatever their age, as long as there are any."""
        oldest_s: int | None = connection.scalar(text("SELECT MIN(start_s) FROM kept_spans"))
        if oldest_s is None:
            return Retired()
        if not dialect.is_partitioned:
            return self.delete_before(connection, dialect, oldest_s + self.partition_s)
        ends = [part.end_s for part in partitions_of(connection, kept_spans.name) if part.end_s > oldest_s]
        return self.delete_before(connection, dialect, min(ends, default=oldest_s + self.partition_s))

    def _room_on_postgres(self, connection: Connection) -> int:
        """Return the end of the latest partition that has to go for the others to have room."""
        total = 0
        for part in reversed(partitions_of(connection, kept_spans.name)):
            size = text("SELECT pg_total_relation_size(to_regclass(:name))")
            total += connection.scalar(size, {"name": part.name}) or 0
            if total > self._max_bytes:
                return part.end_s
        return 0

    def _room_on_sqlite(self, connection: Connection) -> int:
        """Return the second before which spans have to go for the others to have room.

        Rows are numbered in the order of their coming and deleted from the oldest, so that their numbers tell how many
        there are; how large one is tell the latest.
        """
        first, last = connection.execute(_SPAN_OF_IDS).one()
        if first is None:
            return 0
        row_bytes = _ROW_BYTES + (connection.scalar(_SIZE_OF_LATEST, {"sample": _SAMPLE}) or 0)
        beyond = int((last - first + 1) - self._max_bytes / row_bytes)
        if beyond <= 0:
            return 0
        return int(connection.scalar(_AT_PLACE, {"place": beyond}) or 0)
