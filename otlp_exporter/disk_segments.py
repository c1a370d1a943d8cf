"""The files of what waits on disk: written in groups, a sync for each, and used again when nobody waits for any of it.

Belongs to the queue's thread. What the files hold is read by `disk_files.py`.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from otlp_exporter.disk_files import (
    MARKS,
    SEGMENT,
    Left,
    Place,
    Segment,
    is_begun,
    number_of,
    path_of,
    read_segment,
)
from otlp_exporter.disk_record import (
    MARK_BYTES,
    record_head,
    segment_head,
)
from telemetry import Batch
from telemetry.durable_files import sync_folder, write_all

_log = structlog.get_logger(__name__)

_SPARE, _DAMAGED = ".spare", ".damaged"
_SEGMENT_BYTES: Final = 16 * 1024**2
_SPARES: Final = 4
"""Pages of a file that is written again are there already: a fifth of the processor time of new ones."""
_LITTLE_BYTES: Final = 8 * _SEGMENT_BYTES
"""A disk with less room is nearly full: there files that nobody waits for are worth more deleted."""
_FILE_MODE: Final = 0o600
_FOLDER_MODE: Final = 0o700


@dataclass(slots=True)
class _Open:
    segment: Segment
    descriptor: int
    end: int


class DiskSegments:
    """The files below a folder. What waits for the same targets shares files: it leaves together."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open: dict[tuple[str, ...], _Open] = {}
        self._next = 1
        self._lock = -1
        self.closed: list[Segment] = []
        """Those that are written to no more, for whoever counts what is held."""

    def open(self) -> None:
        """Take the folder, which no other process has then. Raises `OSError`."""
        self.folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        self._lock = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._unlock()
            raise
        self._delete_spares()
        for path in self.folder.glob(f"*{MARKS}"):
            if not path.with_suffix(SEGMENT).exists():
                path.unlink(missing_ok=True)
        for path in self.folder.glob(f"*{SEGMENT}"):
            self._next = max(self._next, number_of(path) + 1)

    def survey(self) -> Iterator[Left | Path]:
        """Yield what an earlier process left, oldest first. No segment of it is ever added to. Raises `OSError`.

        Of a segment that says nothing of itself any more, the path where it is kept.
        """
        for path in sorted(self.folder.glob(f"*{SEGMENT}")):
            read = read_segment(path)
            if read is not None:
                yield read
            elif is_begun(path):
                yield path.rename(path.with_suffix(_DAMAGED))
            else:
                path.unlink(missing_ok=True)
                path.with_suffix(MARKS).unlink(missing_ok=True)

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
        descriptor = os.open(self._path_of(segment).with_suffix(MARKS), flags, _FILE_MODE)
        try:
            if half := os.fstat(descriptor).st_size % MARK_BYTES:
                added = bytes(MARK_BYTES - half) + added  # behind what a full disk left of one
            write_all(descriptor, [added])
        finally:
            os.close(descriptor)

    def _is_roomy(self) -> bool:
        disk = os.statvfs(self.folder)
        return disk.f_bavail * disk.f_frsize >= _LITTLE_BYTES

    def _remove(self, path: Path, *, is_roomy: bool) -> None:
        with suppress(OSError):
            if is_roomy and sum(1 for _ in self.folder.glob(f"*{_SPARE}")) < _SPARES:
                path.rename(path.with_suffix(_SPARE))
            else:
                path.unlink()
            # Last: marks without a segment say nothing, a segment without its marks is sent again.
            path.with_suffix(MARKS).unlink(missing_ok=True)

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
        if spare := next(self.folder.glob(f"*{_SPARE}"), None):
            spare.rename(path)
        descriptor = os.open(path, os.O_CREAT | os.O_WRONLY, _FILE_MODE)
        try:
            write_all(descriptor, [head])
            sync_folder(self.folder)  # the head itself is synced with the first group
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
        for path in self.folder.glob(f"*{_SPARE}"):
            path.unlink(missing_ok=True)

    def _unlock(self) -> None:
        os.close(self._lock)
        self._lock = -1

    def _path_of(self, segment: Segment) -> Path:
        return path_of(self.folder, segment.number)
