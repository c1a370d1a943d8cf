"""Adds records to the newest segment and returns when they are on the disk.

The one place that decides what an OK of the spill is worth. Runs in the spill's thread.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rabbit_exporter.segment_name import Position, SegmentName
from rabbit_exporter.spill_record import RecordForm, record_bytes_of
from telemetry import Batch
from telemetry.durable_files import sync_folder, write_all

Sync = Callable[[int], None]
"""Like `os.fdatasync`: returns when what was written to the descriptor is on the disk."""

FILE_MODE: Final = 0o600


@dataclass(frozen=True, slots=True)
class Written:
    """Where a group of batches stands: in one segment, which now ends at `end`."""

    name: SegmentName
    starts: tuple[int, ...]
    end: int

    def positions(self) -> list[Position]:
        """Return the position of each batch, in the order of the group."""
        return [Position(self.name.number, start) for start in self.starts]


class SegmentWriter:
    """Writes segments of about `segment_bytes` into a folder; a group of batches is never divided."""

    def __init__(self, folder: Path, segment_bytes: int, sync: Sync = os.fdatasync) -> None:
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._sync = sync
        self._next_number = 1
        self._descriptor: int | None = None
        self._name: SegmentName | None = None
        self._form = RecordForm(b"")
        self._end = 0

    @property
    def open_segment(self) -> int | None:
        """The number of the segment that the next group may be added to."""
        return self._name.number if self._name is not None else None

    def continue_after(self, number: int) -> None:
        """Begin with a number above `number`. A segment of an earlier process is never added to."""
        self._next_number = max(self._next_number, number + 1)

    def add(self, batches: Sequence[Batch]) -> Written:
        """Write a group and sync it. Raises `OSError`, and then the file ends where it ended before."""
        if self._descriptor is not None and self._end >= self._segment_bytes:
            self.close()
        descriptor, name = self._opened()
        starts, buffers, end = [], list[bytes](), self._end
        for batch in batches:
            starts.append(end)
            buffers += (self._form.head_of(batch), batch.body, self._form.tail_of(batch))
            end += record_bytes_of(batch)
        try:
            write_all(descriptor, buffers)
        except OSError:
            self._cut_back(descriptor)
            raise
        try:
            self._sync(descriptor)
            if not os.fstat(descriptor).st_nlink:
                raise FileNotFoundError(errno.ENOENT, "the file was deleted", str(name))
        except OSError:
            # The kernel may have dropped the pages and told only once: no later sync of this file proves anything.
            self._cut_back(descriptor)
            self.close()
            raise
        self._end = end
        return Written(name, tuple(starts), end)

    def close(self) -> None:
        """Add nothing more to the open segment."""
        descriptor, self._descriptor = self._descriptor, None
        name, self._name = self._name, None
        if descriptor is not None:
            os.close(descriptor)
            if not self._end:
                (self._folder / str(name)).unlink(missing_ok=True)

    def _opened(self) -> tuple[int, SegmentName]:
        if self._descriptor is not None and self._name is not None:
            return self._descriptor, self._name
        name = SegmentName.fresh(self._next_number)
        self._next_number += 1
        path = self._folder / str(name)
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, FILE_MODE)
        try:
            sync_folder(self._folder)
        except OSError:
            os.close(descriptor)
            path.unlink(missing_ok=True)
            raise
        self._descriptor, self._name, self._form, self._end = descriptor, name, RecordForm(name.salt), 0
        return descriptor, name

    def _cut_back(self, descriptor: int) -> None:
        """Take away what was written of a group that gets no OK; its senders will come again."""
        try:
            os.ftruncate(descriptor, self._end)
        except OSError:
            # What stays is a record in its own right, or is skipped as torn. Nothing may be added behind it.
            self.close()
