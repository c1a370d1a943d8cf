"""Moves what earlier versions kept on disk: an index in SQLite, with the bodies in it or in files beside it.

Called when the folder is opened, and once more where a process ended amid it: at most one file is then moved twice.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterable
from contextlib import closing
from pathlib import Path
from typing import Final

import structlog

from otlp_exporter.disk_files import FOLDER
from otlp_exporter.disk_segments import DiskSegments
from telemetry import Batch, Signal
from telemetry.forwarding_trail import trail_of

_log = structlog.get_logger(__name__)

INDEX: Final = "forwarding.db"
_AT_ONCE: Final = 64
_Waiting = dict[int, tuple[str, ...]]


def take_over(data_dir: Path, segments: DiskSegments, targets: Collection[str]) -> None:
    """Move what is there to segments, and delete it. Raises `OSError`, `sqlite3.Error`."""
    path = data_dir / INDEX
    if not path.exists():
        return
    with closing(sqlite3.connect(path, isolation_level=None)) as index:
        tables = {name for (name,) in index.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if "waiting" in tables:
            waiting = _waiting_of(index, targets)
            if "bodies" in tables:
                _move_from_index(index, segments, waiting)
            if "entries" in tables:
                _move_from_files(index, data_dir / FOLDER, segments, waiting)
            _log.info("took over what an earlier version left to be forwarded", batches=len(waiting))
    for suffix in ("", "-wal", "-shm"):
        path.with_name(INDEX + suffix).unlink(missing_ok=True)
    for left in (data_dir / FOLDER).glob("*.bodies"):
        left.unlink()


def _waiting_of(index: sqlite3.Connection, targets: Collection[str]) -> _Waiting:
    """Return who waits for each number, in the order of the settings, as for what comes in."""
    found = dict(index.execute("SELECT number, group_concat(target, ' ') FROM waiting GROUP BY number"))
    known = {number: tuple(one for one in targets if one in names.split()) for number, names in found.items()}
    return {number: names for number, names in known.items() if names}


def _move_from_index(index: sqlite3.Connection, segments: DiskSegments, waiting: _Waiting) -> None:
    numbers = [number for (number,) in index.execute("SELECT number FROM bodies ORDER BY number")]
    for first in range(0, len(numbers), _AT_ONCE):
        group = numbers[first : first + _AT_ONCE]
        rows = index.execute(
            "SELECT number, signal, batch_id, items, received_ns, body FROM bodies WHERE number BETWEEN ? AND ? "
            "ORDER BY number",
            (group[0], group[-1]),
        )
        _add(segments, waiting, ((row[0], Batch(Signal(row[1]), row[-1], *row[2:-1])) for row in rows))
        index.execute("DELETE FROM bodies WHERE number <= ?", (group[-1],))


def _move_from_files(index: sqlite3.Connection, folder: Path, segments: DiskSegments, waiting: _Waiting) -> None:
    files = [file for (file,) in index.execute("SELECT file FROM entries GROUP BY file ORDER BY min(number)")]
    for file in files:
        path = folder / f"{file:012}.bodies"
        rows = index.execute(
            "SELECT number, signal, batch_id, items, received_ns, forwarded_by, at, size FROM entries "
            "WHERE file = ? ORDER BY number",
            (file,),
        ).fetchall()
        for first in range(0, len(rows), _AT_ONCE):
            # What is damaged or gone is found so, and counted, when it is due.
            found = (
                (number, Batch(Signal(signal), _read(path, at, size), batch_id, items, received_ns, trail_of(trail)))
                for number, signal, batch_id, items, received_ns, trail, at, size in rows[first : first + _AT_ONCE]
            )
            _add(segments, waiting, found)
        index.execute("DELETE FROM entries WHERE file = ?", (file,))
        path.unlink(missing_ok=True)


def _add(segments: DiskSegments, waiting: _Waiting, found: Iterable[tuple[int, Batch]]) -> None:
    together = defaultdict[tuple[str, ...], list[Batch]](list)
    for number, batch in found:
        if number in waiting:
            together[waiting[number]].append(batch)
    for names, batches in together.items():
        segments.add(names, batches, is_kept=True)


def _read(path: Path, at: int, size: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(at)
            return file.read(size)
    except FileNotFoundError:
        return b""
