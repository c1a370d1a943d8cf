"""The segments of one slot, what they hold, and how far RabbitMQ has them.

Written to by the spill, read by the drain. Everything but the totals belongs to the spill's thread, one job at a time.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog

from rabbit_exporter.quarantine import Quarantine
from rabbit_exporter.segment_name import Position, SegmentName, segments_in
from rabbit_exporter.segment_reader import PositionalRead, SegmentReader
from rabbit_exporter.segment_writer import SegmentWriter
from rabbit_exporter.spill_cursor import load_cursor, save_cursor
from telemetry import Batch, Signal
from telemetry.durable_files import sync_folder

_log = structlog.get_logger(__name__)

_FROM_THE_BEGINNING: Final = Position(0, 0)


@dataclass(frozen=True, slots=True)
class Held:
    """A stretch that was read: a batch, or `None` where there was none to be had."""

    start: Position
    end: Position
    batch: Batch | None

    @property
    def size(self) -> int:
        """Size of the stretch in bytes."""
        return self.end.offset - self.start.offset


@dataclass(slots=True)
class _Segment:
    name: SegmentName
    end: int
    batches: Counter[Signal] = field(default_factory=Counter)


class SpillStore:
    """One slot's records. `batches` and `held_bytes` may be read from any thread."""

    def __init__(
        self, folder: Path, writer: SegmentWriter, quarantine: Quarantine, read: PositionalRead = os.pread
    ) -> None:
        self._folder = folder
        self._writer = writer
        self._quarantine = quarantine
        self._pread = read
        self._segments: dict[int, _Segment] = {}
        self._cursor = self._read_to = _FROM_THE_BEGINNING
        self.batches = dict.fromkeys(Signal, 0)
        self.held_bytes = 0
        self.damaged = 0
        """How many stretches were passed over since the start; torn ends of files are not among them."""

    def load(self) -> None:
        """Find out what the folder holds. Raises `OSError`."""
        names = segments_in(self._folder)
        if names:
            self._writer.continue_after(names[-1].number)
        known = load_cursor(self._folder)
        if known is not None and known[0] in names:
            self._cursor = self._read_to = Position(known[0].number, known[1])
        for name in names:
            path = self._folder / str(name)
            if not path.stat().st_size:  # made, and the process was killed before it wrote
                path.unlink()
                continue
            descriptor = os.open(path, os.O_RDONLY)
            try:
                end = os.fstat(descriptor).st_size
                heads = SegmentReader(descriptor, name.salt, self._pread).heads(self._offset_in(name.number), end)
                batches = Counter(head.signal for head in heads)
            finally:
                os.close(descriptor)
            self._segments[name.number] = segment = _Segment(name, end)
            self.held_bytes += end
            self._count(segment, batches)
        self._delete_finished()

    def add(self, batches: Sequence[Batch]) -> list[Position]:
        """Write and sync a group, and return where each batch stands. Raises `OSError`; then nothing was added."""
        written = self._writer.add(batches)
        segment = self._segments.setdefault(written.name.number, _Segment(written.name, 0))
        self.held_bytes += written.end - segment.end
        segment.end = written.end
        self._count(segment, Counter(batch.signal for batch in batches))
        return written.positions()

    def rewind(self) -> None:
        """Let `read` begin again at the first record that is not finished."""
        self._read_to = self._cursor

    def read(self, max_batches: int, max_bytes: int) -> list[Held]:
        """Return what comes next in the order of writing, at least one record if there is any."""
        found: list[Held] = []
        size = 0
        while len(found) < max_batches and size < max_bytes:
            segment = self._segment_to_read()
            if segment is None:
                break
            part = self._read_segment(segment, max_batches - len(found), max_bytes - size)
            size += sum(held.size for held in part)
            found += part
        return found

    def finish(self, done: Sequence[Held]) -> None:
        """Take note that RabbitMQ has these, or never will: the next in the order of writing."""
        for held in done:
            segment = self._segments.get(held.start.segment)
            if segment is not None and held.batch is not None:
                self._count(segment, Counter({held.batch.signal: -1}))
            self._cursor = held.end
        if done:
            self._save_cursor()
            self._delete_finished()

    def retire(self) -> None:
        """Give the disk back when RabbitMQ has everything."""
        if self._cursor >= self._end_of_all():
            self._writer.close()
            self._delete_finished()

    def set_aside(self, held: Held, reason: str) -> None:
        """Keep a batch that RabbitMQ refuses for good."""
        if held.batch is not None:
            self._quarantine.keep_refused(held.start, held.batch, reason)

    def close(self) -> None:
        """Give up everything but what is on the disk."""
        self._writer.close()

    def _offset_in(self, number: int) -> int:
        return self._cursor.offset if number == self._cursor.segment else 0

    def _end_of_all(self) -> Position:
        last = max(self._segments, default=0)
        return Position(last, self._segments[last].end if last else 0)

    def _segment_to_read(self) -> _Segment | None:
        """Return the first segment with something unread, in order."""
        for number in sorted(self._segments):
            segment = self._segments[number]
            if number > self._read_to.segment:
                self._read_to = Position(number, 0)
            if number == self._read_to.segment and self._read_to.offset < segment.end:
                return segment
        return None

    def _read_segment(self, segment: _Segment, max_batches: int, max_bytes: int) -> list[Held]:
        number, path = segment.name.number, self._folder / str(segment.name)
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except OSError as error:
            _log.error("cannot open a segment of the spill: passed over it", file=str(path), error=str(error))
            return [self._pass_over(segment, self._read_to.offset, segment.end)]
        part: list[Held] = []
        try:
            reader = SegmentReader(descriptor, segment.name.salt, self._pread)
            offset = begin = self._read_to.offset
            while len(part) < max_batches and offset - begin < max_bytes:
                found = reader.find(offset, segment.end)
                if found is None:
                    break
                if found.is_torn:
                    _log.warning("the spill ends in a record that was never finished", file=str(path), offset=offset)
                elif found.batch is None:
                    self.damaged += 1
                    self._quarantine.keep_damaged(Position(number, offset), reader.raw(offset, found.end))
                elif found.has_lost_trail:
                    _log.warning("published without the ids of who forwarded it", file=str(path), offset=offset)
                part.append(Held(Position(number, offset), Position(number, found.end), found.batch))
                offset = found.end
        finally:
            os.close(descriptor)
        self._read_to = Position(number, offset)
        return part

    def _pass_over(self, segment: _Segment, start: int, end: int) -> Held:
        number = segment.name.number
        self.damaged += 1
        self._read_to = Position(number, end)
        return Held(Position(number, start), self._read_to, None)

    def _count(self, segment: _Segment, batches: Counter[Signal]) -> None:
        segment.batches.update(batches)
        for signal, count in batches.items():
            self.batches[signal] += count

    def _save_cursor(self) -> None:
        segment = self._segments.get(self._cursor.segment)
        if segment is None:
            return
        try:
            save_cursor(self._folder, segment.name, self._cursor.offset)
        except OSError as error:
            _log.warning("cannot note how far the spill is drained", folder=str(self._folder), error=str(error))

    def _delete_finished(self) -> None:
        """Delete the segments that the cursor has passed and that nothing is added to any more."""
        finished = [
            segment
            for number, segment in self._segments.items()
            if number != self._writer.open_segment and Position(number, segment.end) <= self._cursor
        ]
        try:
            for segment in finished:
                (self._folder / str(segment.name)).unlink(missing_ok=True)
                self._forget(segment)
            if finished:
                sync_folder(self._folder)
        except OSError as error:
            _log.warning("cannot delete a part of the spill yet", folder=str(self._folder), error=str(error))

    def _forget(self, segment: _Segment) -> None:
        del self._segments[segment.name.number]
        self.held_bytes -= segment.end
        # What was counted and could not be read later goes with its segment.
        for signal, count in segment.batches.items():
            self.batches[signal] -= count
