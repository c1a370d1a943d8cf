"""One file of what waits on disk, and what is read of it: by who starts, all; by who sends, one batch.

What a file holds says itself what it is (`disk_record.py`), so that no index has to be synced beside it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Final, NamedTuple

from otlp_exporter.disk_record import (
    HEAD_BYTES,
    Head,
    SegmentHead,
    lost_in,
    read_head,
    read_marks,
    read_segment_head,
    records_in,
)
from telemetry import Batch
from telemetry.batch import batch_id_of

FOLDER: Final = "forwarding"
SEGMENT: Final = ".segment"
MARKS: Final = ".marks"


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


def segments_below(data_dir: Path) -> list[Path]:
    """Return the files in which something may wait, oldest first."""
    return sorted((data_dir / FOLDER).glob(f"*{SEGMENT}"))


def path_of(folder: Path, number: int) -> Path:
    """Return the path of a segment."""
    return folder / f"{number:012}{SEGMENT}"


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


def read_segment(path: Path) -> Left | None:
    """Return what is in a segment, `None` if it says nothing of itself. Raises `OSError`."""
    with path.open("rb") as file:
        if not os.fstat(file.fileno()).st_size:
            return None
        with mmap(file.fileno(), 0, access=ACCESS_READ) as data:
            head = read_segment_head(data)
            if head is None or head.number != number_of(path):
                return None
            return _read_records(data, head, path.with_suffix(MARKS))


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


def is_begun(path: Path) -> bool:
    """Tell whether records may be in a segment without a head. Else its process ended before the first: no loss."""
    with path.open("rb") as file:
        # One that was to be used again has a head still: that of its earlier number.
        return os.fstat(file.fileno()).st_size > HEAD_BYTES and read_segment_head(file.read(HEAD_BYTES)) is None


def number_of(path: Path) -> int:
    """Return the number of a segment by its path, 0 of any other file."""
    return int(path.stem) if path.stem.isdecimal() else 0
