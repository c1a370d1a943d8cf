"""What an earlier process left on disk: who waits for it, and what may not have been stored by ModelWatch itself.

Read once, when the queue starts; what an earlier version left in another form is moved before.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from otlp_exporter.disk_files import Found, Lost, Segment
from otlp_exporter.disk_line import UNKNOWN, Dropped, Record
from otlp_exporter.disk_record import done_mark
from otlp_exporter.disk_segments import DiskSegments
from otlp_exporter.disk_upgrade import take_over

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Survey:
    """What was found. `dropped` is to be counted, `marks` are to be written, segments in `free` are to be deleted."""

    waiting: list[tuple[Record, list[str]]] = field(default_factory=list)
    undecided: list[Record] = field(default_factory=list)
    marks: dict[Segment, bytearray] = field(default_factory=dict)
    free: list[Segment] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    gone: int = 0


def load(data_dir: Path, segments: DiskSegments, targets: Collection[str]) -> Survey:
    """Open the folder and read all of it, in the queue's thread. Raises `OSError`, `sqlite3.Error`."""
    segments.open()
    take_over(data_dir, segments, targets)
    segments.end_files()
    segments.closed.clear()
    survey = Survey()
    for left in segments.survey():
        if isinstance(left, Path):
            _log.error("what was to be forwarded cannot be read, nor for whom: its file is kept", file=str(left))
            survey.dropped += [Dropped(name, UNKNOWN, 1, "unreadable") for name in targets]
            continue
        segment, records, lost = left
        for found in records:
            _sort_in(survey, segment, found, targets)
        for one in lost:
            _count_lost(survey, segment, one, targets)
        if not segment.held:
            survey.marks.pop(segment, None)
            survey.free.append(segment)
    if survey.gone:
        _log.warning("dropped what waited for targets that are taken out", batches=survey.gone)
    return survey


def _sort_in(survey: Survey, segment: Segment, found: Found, targets: Collection[str]) -> None:
    names = [name for name in found.waiting if name in targets]
    gone = [name for name in found.waiting if name not in targets]
    for name in gone:  # so that it does not come back with a target of the same name
        marks = survey.marks.setdefault(segment, bytearray())
        marks += done_mark(found.at, segment.names.index(name), segment.salt)
    batch = found.head.batch
    if found.is_kept:
        survey.gone += bool(gone)
        survey.dropped += [Dropped(name, batch.signal, batch.item_count, "removed") for name in gone]
    if not names:
        return
    size = found.head.size
    record = Record(segment, found.at, size, batch.signal, batch.item_count, batch.received_unix_nano)
    segment.held += 1
    if found.is_kept:
        survey.waiting.append((record, names))
    else:
        survey.undecided.append(record)


def _count_lost(survey: Survey, segment: Segment, lost: Lost, targets: Collection[str]) -> None:
    batch = lost.head.batch if lost.head else None
    for name in lost.waiting:
        if name in targets:
            signal, items = (batch.signal, batch.item_count) if batch else (UNKNOWN, 1)
            survey.dropped.append(Dropped(name, signal, items, "unreadable"))
    marks = survey.marks.setdefault(segment, bytearray())
    for name in lost.waiting:  # so that the next start does not count it again
        marks += done_mark(lost.at, segment.names.index(name), segment.salt)
    _log.error("a batch that was to be forwarded is damaged", segment=segment.number, at=lost.at, targets=lost.waiting)
