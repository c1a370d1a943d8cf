"""The files of what waits on disk: written in groups, a sync for each, and used again when nobody waits for any of it.

Belongs to the queue's thread, but for `read_batch`, which any process may call. What they hold says itself what it is
(`disk_record.py`), so that no index has to be synced beside it.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from otlp_exporter.disk_record import (
    HEAD_BYTES,
    MARK_BYTES,
    Head,
    SegmentHead,
    lost_in,
    read_head,
    read_marks,
    read_segment_head,
    record_head,
    records_in,
    segment_head,
)
from telemetry import Batch
from telemetry.batch import batch_id_of
from telemetry.durable_files import sync_folder, write_all

_log = structlog.get_logger(__name__)

FOLDER: Final = "forwarding"
_SEGMENT, _MARKS, _SPARE, _DAMAGED = ".segment", ".marks", ".spare", ".damaged"
_SEGMENT_BYTES: Final = 16 * 1024**2
_SPARES: Final = 4
"""Pages of a file that is written again are there already: a fifth of the processor time of new ones."""
_LITTLE_BYTES: Final = 8 * _SEGMENT_BYTES
"""A disk with less room is nearly full: there files that nobody waits for are worth more deleted."""
_FILE_MODE: Final = 0o600
_FOLDER_MODE: Final = 0o700


class Place(NamedTuple):
    """Where a record is: the number of a segment, its first byte and its size."""

    segment: int
    at: int
    size: int


@dataclass(slots=True, eq=False)
class Segment:
    """One file. `held` of its records are waited for or undecided; both this and `is_open` belong to the event loop."""

    number: int
    names: tuple[str, ...]
    salt: int
    held: int = 0
    is_open: bool = False


@dataclass(slots=True)
class _Open:
    segment: Segment
    descriptor: int
    end: int


@dataclass(slots=True)
class Found:
    """A record that an earlier process left, and who still waits for it; undecided if it may not have been stored."""

    at: int
    head: Head
    is_kept: bool
    waiting: list[str] = field(default_factory=list)


class Lost(NamedTuple):
    """A record that is damaged, who waited for it, and its head if that at least is intact."""

    at: int
    head: Head | None
    waiting: list[str]


class Left(NamedTuple):
    """What an earlier process left in a segment."""

    segment: Segment
    found: list[Found]
    lost: list[Lost]


class DiskSegments:
    """The files below a folder. What waits for the same targets shares files: it leaves together."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[tuple[str, ...], _Open] = {}
        self._next = 1
        self._lock = -1
        self.closed: list[Segment] = []
        """Those that are written to no more, for whoever counts what is held."""

    def open(self) -> None:
        """Take the folder, which no other process has then. Raises `OSError`."""
        self._folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        self._lock = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._unlock()
            raise
        self._delete_spares()
        for path in self._folder.glob(f"*{_MARKS}"):
            if not path.with_suffix(_SEGMENT).exists():
                path.unlink(missing_ok=True)
        for path in self._folder.glob(f"*{_SEGMENT}"):
            self._next = max(self._next, _number_of(path) + 1)

    def survey(self) -> Iterator[Left | Path]:
        """Yield what an earlier process left, oldest first. No segment of it is ever added to. Raises `OSError`.

        Of a segment that says nothing of itself any more, the path where it is kept.
        """
        for path in sorted(self._folder.glob(f"*{_SEGMENT}")):
            read = _read_segment(path)
            if read is not None:
                yield read
            elif _is_begun(path):
                yield path.rename(path.with_suffix(_DAMAGED))
            else:
                path.unlink(missing_ok=True)
                path.with_suffix(_MARKS).unlink(missing_ok=True)

    def add(self, names: tuple[str, ...], batches: Sequence[Batch], *, is_kept: bool) -> tuple[Segment, list[Place]]:
        """Write batches that wait for the same targets, synced on return. Raises `OSError`, and then none is there."""
        try:
            file = self._file_of(names)
        except OSError:
            self._delete_spares()
            raise
        segment, at = file.segment, file.end
        buffers, places = list[bytes](), list[Place]()
        for batch in batches:
            head = record_head(batch, segment.salt, is_kept=is_kept)
            size = len(head) + len(batch.body)
            buffers += (head, batch.body)
            places.append(Place(segment.number, at, size))
            at += size
        try:
            write_all(file.descriptor, buffers)
            os.fdatasync(file.descriptor)
        except OSError:
            # The kernel may have dropped the pages and told only once: no later sync of this file proves anything.
            with suppress(OSError):
                os.ftruncate(file.descriptor, file.end)
            self._close(names)
            self._delete_spares()
            raise
        file.end = at
        return segment, places

    def tidy(self, free: Iterable[Segment], marks: Mapping[Segment, bytes]) -> None:
        """Delete segments, or lay them aside to be written again, and add to the marks of others. Raises `OSError`.

        Nothing is synced: without it something is sent again.
        """
        is_roomy = self._is_roomy()
        for segment in free:
            self._remove(self._path_of(segment), is_roomy=is_roomy)
        try:
            for segment, added in marks.items():
                self._mark(segment, added)
        except OSError:
            self._delete_spares()
            raise

    def make_room(self) -> None:
        """On a disk that is nearly full, delete what is laid aside, and close those in which nobody waits for any."""
        if self._is_roomy():
            return
        self._delete_spares()
        for names, file in list(self._open.items()):
            if not file.segment.held:  # one that is written to just now is closed for nothing, and no more
                self._close(names)

    def end_files(self) -> None:
        """Close what is written to; what it holds stays."""
        for names in list(self._open):
            self._close(names)

    def close(self) -> None:
        """Leave the folder to others."""
        if self._lock >= 0:
            self.end_files()
            self._delete_spares()
            self._unlock()

    def _mark(self, segment: Segment, added: bytes) -> None:
        flags = os.O_CREAT | os.O_WRONLY | os.O_APPEND
        descriptor = os.open(self._path_of(segment).with_suffix(_MARKS), flags, _FILE_MODE)
        try:
            if half := os.fstat(descriptor).st_size % MARK_BYTES:
                added = bytes(MARK_BYTES - half) + added  # behind what a full disk left of one
            write_all(descriptor, [added])
        finally:
            os.close(descriptor)

    def _is_roomy(self) -> bool:
        disk = os.statvfs(self._folder)
        return disk.f_bavail * disk.f_frsize >= _LITTLE_BYTES

    def _remove(self, path: Path, *, is_roomy: bool) -> None:
        with suppress(OSError):
            if is_roomy and sum(1 for _ in self._folder.glob(f"*{_SPARE}")) < _SPARES:
                path.rename(path.with_suffix(_SPARE))
            else:
                path.unlink()
            # Last: marks without a segment say nothing, a segment without its marks is sent again.
            path.with_suffix(_MARKS).unlink(missing_ok=True)

    def _file_of(self, names: tuple[str, ...]) -> _Open:
        file = self._open.get(names)
        if file is not None and file.end >= _SEGMENT_BYTES:
            self._close(names)
            file = None
        return file or self._begin(names)

    def _begin(self, names: tuple[str, ...]) -> _Open:
        segment = Segment(self._next, names, secrets.randbits(32), is_open=True)
        self._next += 1
        path, head = self._path_of(segment), segment_head(segment.number, segment.salt, names)
        if spare := next(self._folder.glob(f"*{_SPARE}"), None):
            spare.rename(path)
        descriptor = os.open(path, os.O_CREAT | os.O_WRONLY, _FILE_MODE)
        try:
            write_all(descriptor, [head])
            sync_folder(self._folder)  # the head itself is synced with the first group
        except OSError:
            os.close(descriptor)
            path.unlink(missing_ok=True)
            raise
        self._open[names] = _Open(segment, descriptor, len(head))
        return self._open[names]

    def _close(self, names: tuple[str, ...]) -> None:
        file = self._open.pop(names)
        os.close(file.descriptor)
        self.closed.append(file.segment)

    def _delete_spares(self) -> None:
        for path in self._folder.glob(f"*{_SPARE}"):
            path.unlink(missing_ok=True)

    def _unlock(self) -> None:
        os.close(self._lock)
        self._lock = -1

    def _path_of(self, segment: Segment) -> Path:
        return path_of(self._folder, segment.number)


def segments_below(data_dir: Path) -> list[Path]:
    """Return the files in which something may wait, oldest first."""
    return sorted((data_dir / FOLDER).glob(f"*{_SEGMENT}"))


def path_of(folder: Path, number: int) -> Path:
    """Return the path of a segment."""
    return folder / f"{number:012}{_SEGMENT}"


def read_batch(folder: Path, place: Place) -> Batch | None:
    """Return the batch of a record, or `None` if that is gone or not what was written.

    Raises `OSError` when it cannot be read now, which says nothing about it.
    """
    try:
        descriptor = os.open(path_of(folder, place.segment), os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        begin = read_segment_head(os.pread(descriptor, HEAD_BYTES, 0))
        data = os.pread(descriptor, place.size, place.at)
    finally:
        os.close(descriptor)
    head = read_head(data, 0, begin.salt) if begin and begin.number == place.segment else None
    if head is None or head.size != len(data):
        return None
    batch = replace(head.batch, body=data[head.body_at :])
    return batch if batch_id_of(batch.signal, batch.body) == batch.batch_id else None


def _read_segment(path: Path) -> Left | None:
    with path.open("rb") as file:
        if not os.fstat(file.fileno()).st_size:
            return None
        with mmap(file.fileno(), 0, access=ACCESS_READ) as data:
            head = read_segment_head(data)
            if head is None or head.number != _number_of(path):
                return None
            return _read_records(data, head, path.with_suffix(_MARKS))


def _read_records(data: mmap, head: SegmentHead, marks: Path) -> Left:
    salt = head.salt
    try:
        kept, done = read_marks(marks.read_bytes(), salt)
    except FileNotFoundError:
        kept, done = set(), set()

    def waiting(at: int) -> list[str]:
        return [name for index, name in enumerate(head.names) if (at, index) not in done]

    records = list(records_in(data, head.start, salt))
    found = [Found(at, one, one.is_kept or at in kept, waiting(at)) for at, one in records]
    marked = kept | {at for at, _ in done}
    lost = [Lost(at, read_head(data, at, salt), waiting(at)) for at in lost_in(head.start, records, kept, marked)]
    return Left(Segment(head.number, head.names, salt), found, [one for one in lost if one.waiting])


def _is_begun(path: Path) -> bool:
    """Tell whether records may be in a segment without a head. Else its process ended before the first: no loss."""
    with path.open("rb") as file:
        # One that was to be used again has a head still: that of its earlier number.
        return os.fstat(file.fileno()).st_size > HEAD_BYTES and read_segment_head(file.read(HEAD_BYTES)) is None


def _number_of(path: Path) -> int:
    return int(path.stem) if path.stem.isdecimal() else 0
