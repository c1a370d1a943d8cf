"""Reads a segment record by record, and finds the next good one behind anything that cannot be read.

Used when the spill is opened, to know what it holds, and by the drain. Nothing in a file can make it raise.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from rabbit_exporter.spill_record import HEAD_BYTES, MARKER_BYTES, Head, RecordForm
from telemetry import Batch

PositionalRead = Callable[[int, int, int], bytes]
"""Like `os.pread`: descriptor, size, offset."""

_READ_AHEAD_BYTES: Final = 64 * 1024
_SCAN_BYTES: Final = 1024**2
_BLOCK_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class Found:
    """A stretch of a segment: a record with its batch, or with `None` what is none.

    `is_torn`: the stretch is the beginning of a record that the file ends within, as a kill while writing leaves it.
    `has_lost_trail`: who forwarded the batch was damaged, and is not known any more.
    """

    start: int
    end: int
    batch: Batch | None
    is_torn: bool = False
    has_lost_trail: bool = False


class SegmentReader:
    """Reads one open file. What the disk will not give reads as zeros, and then fails its checksum."""

    def __init__(self, descriptor: int, salt: bytes, read: PositionalRead = os.pread) -> None:
        self._descriptor = descriptor
        self._form = RecordForm(salt)
        self._pread = read
        self._ahead_at = 0
        self._ahead = b""

    def find(self, offset: int, limit: int) -> Found | None:
        """Return what begins at `offset`; `None` at `limit`, the end of what counts in the file."""
        if offset >= limit:
            return None
        head = self._head_at(offset, limit)
        if head is not None and offset + head.record_bytes <= limit:
            batch = self._form.batch_of(head, self._read(offset + HEAD_BYTES, head.content_bytes))
            if batch is not None and len(batch.forwarded_by) == head.forwarders:
                return Found(offset, offset + head.record_bytes, batch)
            if batch is not None:
                # If bytes are missing from the tail, the next record begins before this one's end.
                end = self._next_head(offset + HEAD_BYTES + head.body_bytes, limit)
                return Found(offset, min(end, offset + head.record_bytes), batch, has_lost_trail=True)
        end = self._next_head(offset + 1, limit)
        is_torn = end == limit and self._is_beginning(offset, limit, head)
        return Found(offset, end, None, is_torn)

    def heads(self, offset: int, limit: int) -> Iterator[Head]:
        """Yield the heads from `offset` on, without a look at the bodies."""
        while offset < limit:
            head = self._head_at(offset, limit)
            if head is not None and offset + head.record_bytes <= limit:
                yield head
                offset += head.record_bytes
            else:
                offset = self._next_head(offset + 1, limit)

    def raw(self, start: int, end: int) -> bytes:
        """Return the bytes of a stretch, as far as there are any."""
        return self._read(start, end - start)

    def _head_at(self, offset: int, limit: int) -> Head | None:
        return self._form.read_head(self._read(offset, min(HEAD_BYTES, limit - offset)))

    def _next_head(self, offset: int, limit: int) -> int:
        """Return where the next intact head begins, or `limit`. A marker is random, so it is met where it was put."""
        while offset < limit:
            chunk = self._read(offset, min(_SCAN_BYTES, limit - offset))
            at = chunk.find(self._form.marker)
            if at < 0:
                if len(chunk) < _SCAN_BYTES:
                    return limit
                # A marker may lie across the border of two chunks.
                offset += _SCAN_BYTES - MARKER_BYTES + 1
            elif self._head_at(offset + at, limit) is not None:
                return offset + at
            else:
                offset += at + 1
        return limit

    def _is_beginning(self, offset: int, limit: int, head: Head | None) -> bool:
        if head is not None:
            return offset + head.record_bytes > limit
        if limit - offset < HEAD_BYTES:
            start = self._read(offset, min(MARKER_BYTES, limit - offset))
            return self._form.marker.startswith(start)
        # After a power cut a file may be longer than what was written to it.
        return not any(self._read(offset, limit - offset))

    def _read(self, offset: int, size: int) -> bytes:
        begin = offset - self._ahead_at
        if begin >= 0 and begin + size <= len(self._ahead):
            return self._ahead[begin : begin + size]
        data = self._read_through(offset, max(size, _READ_AHEAD_BYTES))
        if size < len(data):
            self._ahead_at, self._ahead = offset, data
        return data[:size]

    def _read_through(self, offset: int, size: int) -> bytes:
        try:
            return self._pread(self._descriptor, size, offset)
        except OSError:
            return b"".join(self._read_block(at, min(_BLOCK_BYTES, offset + size - at)) for at in _blocks(offset, size))

    def _read_block(self, offset: int, size: int) -> bytes:
        try:
            return self._pread(self._descriptor, size, offset)
        except OSError:
            return bytes(size)


def _blocks(offset: int, size: int) -> range:
    return range(offset, offset + size, _BLOCK_BYTES)
