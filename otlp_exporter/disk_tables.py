"""The index of what waits on disk: a SQLite file that says which batches there are, where, and who waits for each.

Belongs to the queue's thread, but for the figures, which any thread may read. The bodies are beside it, in files.
"""

from __future__ import annotations

import sqlite3
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from otlp_exporter.disk_bodies import FOLDER, DiskBodies, Place, read_body
from otlp_exporter.disk_upgrade import bodies_inside, forget_bodies_inside, forget_body_inside
from otlp_exporter.target_settings import TargetSettings
from telemetry import Batch, Signal
from telemetry.batch import batch_id_of
from telemetry.forwarding_trail import header_of, trail_of

_log = structlog.get_logger(__name__)

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS entries (
    number INTEGER PRIMARY KEY AUTOINCREMENT, signal TEXT NOT NULL, batch_id BLOB NOT NULL, items INTEGER NOT NULL,
    received_ns INTEGER NOT NULL, forwarded_by TEXT NOT NULL, file INTEGER NOT NULL, at INTEGER NOT NULL,
    size INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS waiting (
    target TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (target, number)) WITHOUT ROWID;
"""
_VACUUM_PAGES: Final = 2_000
_NS_PER_S: Final = 1_000_000_000


class Entry(NamedTuple):
    """A batch in a target's queue, without its body, and where that is."""

    number: int
    batch: Batch
    place: Place


class Dropped(NamedTuple):
    """Items that wait no longer, and why: `full`, `expired`, `disk` or `unreadable`."""

    target: str
    signal: Signal
    items: int
    reason: str


@dataclass(slots=True)
class _Waiting:
    signal: Signal
    items: int
    size: int
    received_ns: int
    file: int
    targets: int = 0


class _Line:
    """What waits for one target, oldest first: the file's index in memory, 250 bytes a batch."""

    def __init__(self, target: TargetSettings) -> None:
        self.target = target
        self.entries: OrderedDict[int, _Waiting] = OrderedDict()
        self.size = 0
        self.in_hand: set[int] = set()
        """Those that were read, which are not dropped: they are on their way, and would be counted twice."""

    def add(self, number: int, waiting: _Waiting) -> None:
        self.entries[number] = waiting
        self.size += waiting.size
        waiting.targets += 1

    def remove(self, number: int) -> _Waiting:
        self.in_hand.discard(number)
        waiting = self.entries.pop(number)
        self.size -= waiting.size
        waiting.targets -= 1
        return waiting


def read_batch(folder: Path, entry: Entry) -> Batch | None:
    """Return the batch of an entry with its body, or `None` if that is gone or not what was written.

    Raises `OSError` when it cannot be read now, which says nothing about it.
    """
    try:
        body = read_body(folder / FOLDER, entry.place)
    except FileNotFoundError:
        return None
    batch = replace(entry.batch, body=body)
    return batch if batch_id_of(batch.signal, body) == batch.batch_id else None


class DiskTables:
    """An open file, and the bodies."""

    def __init__(self, connection: sqlite3.Connection, bodies: DiskBodies, targets: Sequence[TargetSettings]) -> None:
        self._connection = connection
        self._bodies = bodies
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
            tables = cls(connection, DiskBodies(path.parent / FOLDER), targets)
            tables._load()
        except BaseException:
            connection.close()
            raise
        return tables

    def close(self) -> None:
        """Close the files; what they hold stays."""
        self._bodies.close()
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
        # First, so that what the tables name is there after a crash.
        places = self._write_bodies(offers)
        added = list[tuple[_Line, int, _Waiting]]()
        done = [(name, number) for name, number in dict.fromkeys(finished) if number in self._lines[name].entries]
        try:
            with _transaction(self._connection):
                self._delete(done)
                for (batch, names), place in zip(offers, places, strict=True):
                    number = self._insert(batch, names, place)
                    waiting = _Waiting(batch.signal, batch.item_count, place.size, batch.received_unix_nano, place.file)
                    added += [(self._lines[name], number, waiting) for name in names]
        except BaseException:
            self._bodies.release([place.file for place in places])
            raise
        self._remove(done)
        for line, number, waiting in added:
            line.add(number, waiting)
        return self._shrink()

    def read(self, target: str, after: int, limit: int) -> list[Entry]:
        """Return the oldest entries beyond the number `after`; they are in hand until they are finished."""
        rows = self._connection.execute(
            "SELECT e.number, signal, batch_id, items, received_ns, forwarded_by, file, at, size FROM waiting w "
            "JOIN entries e ON e.number = w.number WHERE w.target = ? AND w.number > ? ORDER BY w.number LIMIT ?",
            (target, after, limit),
        )
        found = [
            Entry(number, Batch(Signal(signal), b"", batch_id, items, received_ns, trail_of(trail)), Place(*place))
            for number, signal, batch_id, items, received_ns, trail, *place in rows
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

    def _write_bodies(self, offers: Sequence[tuple[Batch, Collection[str]]]) -> list[Place]:
        together = defaultdict[tuple[str, ...], list[int]](list)
        for index, (_, names) in enumerate(offers):
            together[tuple(names)].append(index)
        places: dict[int, Place] = {}
        try:
            for names, indexes in together.items():
                added = self._bodies.add(names, [offers[index][0].body for index in indexes])
                places.update(zip(indexes, added, strict=True))
        except BaseException:
            self._bodies.release([place.file for place in places.values()])
            raise
        return [places[index] for index in range(len(offers))]

    def _insert(self, batch: Batch, names: Collection[str], place: Place, number: int | None = None) -> int:
        cursor = self._connection.execute(
            "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                number,
                batch.signal,
                batch.batch_id,
                batch.item_count,
                batch.received_unix_nano,
                header_of(batch.forwarded_by),
                *place,
            ),
        )
        made = number or cursor.lastrowid or 0
        self._connection.executemany("INSERT OR IGNORE INTO waiting VALUES (?, ?)", [(name, made) for name in names])
        return made

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
        out = [(name, number) for number in numbers]
        with _transaction(self._connection):
            self._delete(out)
        self._remove(out)
        return dropped

    def _delete(self, out: Sequence[tuple[str, int]]) -> None:
        """Delete from the file, and with the last of its targets a batch itself."""
        self._connection.executemany("DELETE FROM waiting WHERE target = ? AND number = ?", out)
        leaving = Counter(number for _, number in out)
        last = {number for name, number in out if self._lines[name].entries[number].targets == leaving[number]}
        self._connection.executemany("DELETE FROM entries WHERE number = ?", [(number,) for number in last])

    def _remove(self, out: Iterable[tuple[str, int]]) -> None:
        """Take out of the index what the file no longer has."""
        removed = [self._lines[name].remove(number) for name, number in out]
        self._bodies.release([one.file for one in removed if not one.targets])

    def _load(self) -> None:
        known = list(self._lines)
        marks = ",".join("?" * len(known))
        with _transaction(self._connection):
            gone = self._connection.execute(f"DELETE FROM waiting WHERE target NOT IN ({marks})", known).rowcount
            self._connection.execute("DELETE FROM entries WHERE number NOT IN (SELECT number FROM waiting)")
        if gone:
            _log.warning("dropped what waited for targets that are gone", batches=gone)
        self._bodies.load([file for (file,) in self._connection.execute("SELECT file FROM entries")])
        self._take_over()
        loaded: dict[int, _Waiting] = {}
        rows = self._connection.execute(
            "SELECT w.target, e.number, signal, items, size, received_ns, file FROM waiting w "
            "JOIN entries e ON e.number = w.number ORDER BY e.number"
        )
        for name, number, signal, *rest in rows:
            waiting = loaded.setdefault(number, _Waiting(Signal(signal), *rest))
            self._lines[name].add(number, waiting)

    def _take_over(self) -> None:
        """Move what an earlier version kept in the file itself."""
        for number, batch, names in bodies_inside(self._connection):
            [place] = self._write_bodies([(batch, names)])
            with _transaction(self._connection):
                self._insert(batch, names, place, number)
                forget_body_inside(self._connection, number)
        forget_bodies_inside(self._connection)


class _transaction:  # noqa: N801  # reads as the statement that it is
    """Begin, and commit or roll back."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        self._connection.execute("COMMIT" if kind is None else "ROLLBACK")
