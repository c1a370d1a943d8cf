"""How what waits is written on disk: segments of records that say what they are, and marks of what became of them.

Bytes only. A segment is a head with the names of those that wait for all that is in it, the same once more in a block
of its own, as all would be lost with it, and records: each a head, the trail, and the OTLP request as it came. Marks
are in a file beside it, of one size, so that a damaged one costs itself. Checksums are keyed with the segment's salt:
what is left of an earlier use of the same file, or what a client put into a request, is never taken for a record.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from mmap import mmap
from struct import Struct
from typing import Final, NamedTuple
from zlib import crc32

from telemetry import Batch, Signal
from telemetry.forwarding_trail import header_of, trail_of

_SEGMENT: Final = Struct("<8sIQII")  # magic, checksum of what follows, number, salt, bytes of names
_SEGMENT_MAGIC: Final = b"MWfwd-2\n"
_SINGLE_MAGIC: Final = b"MWfwd-1\n"  # of before the head was there twice
_AGAIN_AT: Final = 4096
HEAD_BYTES: Final = _AGAIN_AT + 1024
"""Both heads of a segment end before: at most 16 names of 40 characters."""
_RECORD: Final = Struct("<4sIBBHIIq16s")  # magic, checksum, 1 for kept, signal, bytes of the trail and the body, ...
_RECORD_MAGIC: Final = b"\xf5MWr"
_CHECKED_FROM: Final = 8
_MARK: Final = Struct("<IHH")  # where the record begins, what became of it, checksum
MARK_BYTES: Final = _MARK.size
_KEPT: Final = 0xFFFF
_SIGNALS: Final = (Signal.TRACES, Signal.METRICS, Signal.LOGS)


class Head(NamedTuple):
    """What the head of a record says. `batch` has no body; `size` is that of the whole record, `body_at` within it."""

    batch: Batch
    is_kept: bool
    body_at: int
    size: int


class SegmentHead(NamedTuple):
    """What a segment says of itself. `start` is where records begin."""

    number: int
    salt: int
    names: tuple[str, ...]
    start: int


def segment_head(number: int, salt: int, names: Sequence[str]) -> bytes:
    """Return what a segment begins with."""
    text = json.dumps(names).encode()
    head = _SEGMENT.pack(_SEGMENT_MAGIC, 0, number, salt, len(text))
    checksum = crc32(head[12:] + text)
    once = _SEGMENT.pack(_SEGMENT_MAGIC, checksum, number, salt, len(text)) + text
    return once.ljust(_AGAIN_AT, b"\0") + once


def read_segment_head(data: bytes | mmap) -> SegmentHead | None:
    """Return what either of its heads says; `None` if neither is intact."""
    return _segment_head_at(data, 0) or _segment_head_at(data, _AGAIN_AT)


def _segment_head_at(data: bytes | mmap, at: int) -> SegmentHead | None:
    if len(data) < at + _SEGMENT.size:
        return None
    magic, checksum, number, salt, size = _SEGMENT.unpack_from(data, at)
    text_at, end = at + _SEGMENT.size, at + _SEGMENT.size + size
    if magic not in (_SEGMENT_MAGIC, _SINGLE_MAGIC) or checksum != crc32(data[at + 12 : end]):
        return None
    start = end if magic == _SINGLE_MAGIC else _AGAIN_AT + _SEGMENT.size + size
    return SegmentHead(number, salt, tuple(json.loads(data[text_at:end])), start)


def record_head(batch: Batch, salt: int, *, is_kept: bool) -> bytes:
    """Return what stands before a body. `is_kept`: it is forwarded whatever the marks say."""
    trail = header_of(batch.forwarded_by).encode()
    fields = (len(trail), len(batch.body), batch.item_count, batch.received_unix_nano, batch.batch_id)
    signal = _SIGNALS.index(batch.signal)
    head = _RECORD.pack(_RECORD_MAGIC, 0, is_kept, signal, *fields)
    checksum = crc32(head[_CHECKED_FROM:] + trail, salt)
    return _RECORD.pack(_RECORD_MAGIC, checksum, is_kept, signal, *fields) + trail


def read_head(data: bytes | mmap, at: int, salt: int) -> Head | None:
    """Return the head of a record, `None` if there is none that is intact."""
    if len(data) < at + _RECORD.size:
        return None
    magic, checksum, kept, signal, trail_bytes, body_bytes, items, received_ns, batch_id = _RECORD.unpack_from(data, at)
    body_at = _RECORD.size + trail_bytes
    if magic != _RECORD_MAGIC or checksum != crc32(data[at + _CHECKED_FROM : at + body_at], salt):
        return None
    trail = trail_of(data[at + _RECORD.size : at + body_at].decode()) if trail_bytes else ()
    batch = Batch(_SIGNALS[signal], b"", batch_id, items, received_ns, trail)
    return Head(batch, bool(kept), body_at, body_at + body_bytes)


def records_in(data: bytes | mmap, start: int, salt: int) -> Iterator[tuple[int, Head]]:
    """Yield where each record begins, and its head. Behind anything else the next intact head is looked for."""
    at = start
    while (at := data.find(_RECORD_MAGIC, at)) >= 0:
        head = read_head(data, at, salt)
        if head is None or at + head.size > len(data):
            at += 1
        else:
            yield at, head
            at += head.size


def lost_in(
    start: int, records: Sequence[tuple[int, Head]], kept: Collection[int], marked: Collection[int]
) -> Iterator[int]:
    """Yield where records were of which no intact head is left: those before an intact one, and at the end the kept.

    Of several without marks side by side the first alone. A torn end that nothing says was kept got no OK.
    """
    end = start
    for at, head in records:
        if at > end:
            yield from sorted({end} | {one for one in marked if end < one < at})
        end = at + head.size
    yield from sorted(one for one in kept if one >= end)


def kept_mark(at: int, salt: int) -> bytes:
    """Return the mark of a record that ModelWatch itself has stored too."""
    return _mark(at, _KEPT, salt)


def done_mark(at: int, name: int, salt: int) -> bytes:
    """Return the mark of a record for which one of the segment's names, counted from 0, waits no more."""
    return _mark(at, name, salt)


def read_marks(data: bytes, salt: int) -> tuple[set[int], set[tuple[int, int]]]:
    """Return which records are kept, and which are done for whom."""
    kept, done = set[int](), set[tuple[int, int]]()
    whole = len(data) // MARK_BYTES * MARK_BYTES
    for at, what, check in _MARK.iter_unpack(data[:whole]):
        if check != _check(at, what, salt):
            continue
        if what == _KEPT:
            kept.add(at)
        else:
            done.add((at, what))
    return kept, done


def _mark(at: int, what: int, salt: int) -> bytes:
    return _MARK.pack(at, what, _check(at, what, salt))


def _check(at: int, what: int, salt: int) -> int:
    return crc32(at.to_bytes(4, "little") + what.to_bytes(2, "little"), salt) & 0xFFFF
