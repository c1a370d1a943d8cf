"""The SQLite file behind the queues on disk: which bodies there are, and who still waits for each.

Belongs to the queue's thread, but for the figures, which any thread may read.
"""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from otlp_exporter.target_settings import TargetSettings
from telemetry import Batch, Signal
from telemetry.forwarding_trail import header_of, trail_of

_log = structlog.get_logger(__name__)

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS bodies (
    number INTEGER PRIMARY KEY AUTOINCREMENT, signal TEXT NOT NULL, batch_id BLOB NOT NULL, items INTEGER NOT NULL,
    received_ns INTEGER NOT NULL, waiting INTEGER NOT NULL, body BLOB NOT NULL, forwarded_by TEXT NOT NULL DEFAULT '');
CREATE TABLE IF NOT EXISTS waiting (
    target TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (target, number)) WITHOUT ROWID;
"""
_VACUUM_PAGES: Final = 2_000
_NS_PER_S: Final = 1_000_000_000


class Entry(NamedTuple):
    """A batch in a target's queue."""

    number: int
    batch: Batch


class Dropped(NamedTuple):
    """Items that wait no longer, and why: `full`, `expired` or `disk`."""

    target: str
    signal: Signal
    items: int
    reason: str


@dataclass(frozen=True, slots=True)
class _Waiting:
    signal: Signal
    items: int
    size: int
    received_ns: int


class _Line:
    """What waits for one target, oldest first: the file's index in memory, 200 bytes a batch."""

    def __init__(self, target: TargetSettings) -> None:
        self.target = target
        self.entries: OrderedDict[int, _Waiting] = OrderedDict()
        self.size = 0
        self.in_hand: set[int] = set()
        """Those that were read, which are not dropped: they are on their way, and would be counted twice."""

    def add(self, number: int, waiting: _Waiting) -> None:
        self.entries[number] = waiting
        self.size += waiting.size

    def remove(self, number: int) -> bool:
        self.in_hand.discard(number)
        waiting = self.entries.pop(number, None)
        self.size -= waiting.size if waiting else 0
        return waiting is not None


class DiskTables:
    """An open file."""

    def __init__(self, connection: sqlite3.Connection, targets: Sequence[TargetSettings]) -> None:
        self._connection = connection
        self._lines = {target.name: _Line(target) for target in targets}

    @classmethod
    def open(cls, path: Path, targets: Sequence[TargetSettings]) -> DiskTables:
        """Open or make the file, and forget what waits for targets that are gone. Raises `OSError`, `sqlite3.Error`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.executescript(_SCHEMA)
            _add_trail(connection)
            tables = cls(connection, targets)
            tables._load()
        except BaseException:
            connection.close()
            raise
        return tables

    def close(self) -> None:
        """Close the file; what it holds stays."""
        self._connection.close()

    def held(self, target: str) -> tuple[int, int]:
        """Return how many batches wait for a target, and their bytes."""
        line = self._lines[target]
        return len(line.entries), line.size

    def oldest_received_ns(self, target: str) -> int | None:
        """Return when the oldest that waits for a target was received."""
        try:
            return next(iter(self._lines[target].entries.values())).received_ns
        except (StopIteration, RuntimeError):  # nothing, or changed in this very moment
            return None

    def write(
        self, offers: Sequence[tuple[Batch, Collection[str]]], finished: Iterable[tuple[str, int]]
    ) -> list[Dropped]:
        """Take out what is finished, add what is offered, and drop the oldest of what is too much; synced on return."""
        added: list[tuple[_Line, int, _Waiting]] = []
        done = [(name, number) for name, number in finished if number in self._lines[name].entries]
        with _transaction(self._connection):
            self._take_out(done)
            for batch, names in offers:
                cursor = self._connection.execute(
                    "INSERT INTO bodies (signal, batch_id, items, received_ns, waiting, body, forwarded_by) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (
                        batch.signal,
                        batch.batch_id,
                        batch.item_count,
                        batch.received_unix_nano,
                        len(names),
                        batch.body,
                        header_of(batch.forwarded_by),
                    ),
                )
                number = cursor.lastrowid or 0
                waiting = _Waiting(batch.signal, batch.item_count, len(batch.body), batch.received_unix_nano)
                added += [(self._lines[name], number, waiting) for name in names]
            self._connection.executemany(
                "INSERT INTO waiting VALUES (?, ?)", [(line.target.name, number) for line, number, _ in added]
            )
        for name, number in done:
            self._lines[name].remove(number)
        for line, number, waiting in added:
            line.add(number, waiting)
        return self._shrink()

    def read(self, target: str, after: int, limit: int) -> list[Entry]:
        """Return the oldest entries beyond the number `after`; they are in hand until they are finished."""
        rows = self._connection.execute(
            "SELECT b.number, b.signal, b.body, b.batch_id, b.items, b.received_ns, b.forwarded_by FROM waiting w "
            "JOIN bodies b ON b.number = w.number WHERE w.target = ? AND w.number > ? ORDER BY w.number LIMIT ?",
            (target, after, limit),
        )
        found = [
            Entry(number, Batch(Signal(signal), body, batch_id, items, received_ns, trail_of(trail)))
            for number, signal, body, batch_id, items, received_ns, trail in rows
        ]
        line = self._lines[target]
        line.in_hand.update(entry.number for entry in found)
        return found

    def expire(self, now_ns: int) -> list[Dropped]:
        """Drop what is too old, and give some of the disk back that is no longer needed."""
        dropped: list[Dropped] = []
        for line in self._lines.values():
            limit_ns = now_ns - line.target.queue_max_age_s * _NS_PER_S
            old = [n for n, one in line.entries.items() if one.received_ns < limit_ns and n not in line.in_hand]
            dropped += self._drop(line, old, "expired")
        self._connection.execute(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})").fetchall()
        return dropped

    def _shrink(self) -> list[Dropped]:
        dropped: list[Dropped] = []
        for line in self._lines.values():
            # As in RabbitMQ, what is in hand is beside the limit.
            in_hand = sum(line.entries[number].size for number in line.in_hand)
            excess = line.size - in_hand - line.target.queue_max_bytes
            oldest: list[int] = []
            for number, one in line.entries.items():
                if excess <= 0:
                    break
                if number in line.in_hand:
                    continue
                excess -= one.size
                oldest.append(number)
            dropped += self._drop(line, oldest, "full")
        return dropped

    def _drop(self, line: _Line, numbers: Sequence[int], reason: str) -> list[Dropped]:
        if not numbers:
            return []
        name = line.target.name
        dropped = [Dropped(name, line.entries[n].signal, line.entries[n].items, reason) for n in numbers]
        with _transaction(self._connection):
            self._take_out([(name, number) for number in numbers])
        for number in numbers:
            line.remove(number)
        return dropped

    def _take_out(self, entries: Sequence[tuple[str, int]]) -> None:
        self._connection.executemany("DELETE FROM waiting WHERE target = ? AND number = ?", entries)
        numbers = [(number,) for _, number in entries]
        self._connection.executemany("UPDATE bodies SET waiting = waiting - 1 WHERE number = ?", numbers)
        self._connection.executemany("DELETE FROM bodies WHERE number = ? AND waiting <= 0", numbers)

    def _load(self) -> None:
        known = list(self._lines)
        marks = ",".join("?" * len(known))
        with _transaction(self._connection):
            gone = self._connection.execute(f"DELETE FROM waiting WHERE target NOT IN ({marks})", known).rowcount
            self._connection.execute(
                "UPDATE bodies SET waiting = (SELECT count(*) FROM waiting w WHERE w.number = bodies.number)"
            )
            self._connection.execute("DELETE FROM bodies WHERE waiting = 0")
        if gone:
            _log.warning("dropped what waited for targets that are gone", batches=gone)
        rows = self._connection.execute(
            "SELECT w.target, b.number, b.signal, b.items, length(b.body), b.received_ns FROM waiting w "
            "JOIN bodies b ON b.number = w.number ORDER BY b.number"
        )
        for name, number, signal, items, size, received_ns in rows:
            self._lines[name].add(number, _Waiting(Signal(signal), items, size, received_ns))


def _add_trail(connection: sqlite3.Connection) -> None:
    """Add what files of earlier versions lack."""
    if "forwarded_by" not in {row[1] for row in connection.execute("PRAGMA table_info(bodies)")}:
        connection.execute("ALTER TABLE bodies ADD COLUMN forwarded_by TEXT NOT NULL DEFAULT ''")


class _transaction:  # noqa: N801  # reads as the statement that it is
    """Begin, and commit or roll back."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        self._connection.execute("COMMIT" if kind is None else "ROLLBACK")
