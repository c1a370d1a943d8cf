"""The spill's segments: whatever happened to a file, reading it does not fail, and every intact record is found."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from rabbit_exporter.segment_reader import Found, SegmentReader
from rabbit_exporter.spill_record import RecordForm
from telemetry import Batch, Signal

SALT: Final = bytes(range(16))
_FORM: Final = RecordForm(SALT)
_SIGNALS: Final = tuple(Signal)
_MOST_RECORDS = 8
_CHANGE_BYTES = 5
_BLOCK_BYTES: Final = 4096
_FILE: Final = tempfile.TemporaryFile()  # noqa: SIM115  # one for all runs, closed with the process


def seeds() -> Iterator[bytes]:
    yield bytes([0]) + b"junk" * 50
    yield bytes([3, 10, 0, 200])
    for change in range(6):
        yield bytes([5, 1, 50, 0, 255, 100]) + bytes([change, 0, 60, 7, 9])
        yield bytes([4, 1, 50, 255, 255]) + bytes([change, 0, 200, 200, 9, change, 1, 10, 3, 3])


def check(data: bytes) -> None:
    """Write some records, damage the file as `data` says, and read it."""
    count = data[0] % (_MOST_RECORDS + 1) if data else 0
    batches = [_batch(number, size) for number, size in enumerate(data[1 : 1 + count])]
    records = [_FORM.head_of(batch) + batch.body + _FORM.tail_of(batch) for batch in batches]
    rest = data[1 + count :]
    content = b"".join(records) if count else rest
    bad_blocks: set[int] = set()
    for at in range(0, len(rest) - _CHANGE_BYTES + 1, _CHANGE_BYTES) if count else ():
        content = _changed(content, rest[at : at + _CHANGE_BYTES], bad_blocks)
    _check_file(content, batches, records, bad_blocks)


def _check_file(content: bytes, batches: list[Batch], records: list[bytes], bad_blocks: set[int]) -> None:
    descriptor = _FILE.fileno()
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, content, 0)

    def read(_: int, size: int, offset: int) -> bytes:
        blocks = range(offset // _BLOCK_BYTES, (offset + size - 1) // _BLOCK_BYTES + 1)
        if bad_blocks.intersection(blocks):
            raise OSError("the disk will not give this")
        return os.pread(descriptor, size, offset)

    found = list(_all_found(SegmentReader(descriptor, SALT, read), len(content)))
    position = 0
    for one in found:
        assert one.start == position, "the stretches leave nothing out and do not overlap"
        assert one.end > one.start
        position = one.end
    assert position == len(content)
    without_trail = [replace(batch, forwarded_by=()) for batch in batches]
    for one in found:
        assert one.batch is None or one.batch in (without_trail if one.has_lost_trail else batches), "invented"
    were_read = [one for one in found if one.batch is not None]
    for start, end in _intact(content, records, bad_blocks):
        # One that lost its end may be completed by the first bytes of the next: then both are intact, but overlap.
        is_within = any(one.start < end and start < one.end for one in were_read)
        assert is_within, f"the intact record at {start} is not found"
    heads = list(SegmentReader(descriptor, SALT, read).heads(0, len(content)))
    assert len(heads) <= len(content)


def _all_found(reader: SegmentReader, limit: int) -> Iterator[Found]:
    position = 0
    while (found := reader.find(position, limit)) is not None:
        yield found
        position = found.end


def _intact(content: bytes, records: list[bytes], bad_blocks: set[int]) -> Iterator[tuple[int, int]]:
    for record in set(records):
        start = content.find(record)
        while start >= 0:
            end = start + len(record)
            # What cannot be read comes in blocks of its own from where the reading began, not from the file's.
            near = range(max(0, start // _BLOCK_BYTES - 1), (end - 1) // _BLOCK_BYTES + 2)
            if not bad_blocks.intersection(near):
                yield start, end
            start = content.find(record, start + 1)


def _changed(content: bytes, change: bytes, bad_blocks: set[int]) -> bytes:
    kind, size = change[0] % 6, change[3]
    at = int.from_bytes(change[1:3], "big") % (len(content) + 1)
    match kind:
        case 0:
            return content[:at] + bytes(byte ^ (size or 1) for byte in content[at : at + 1]) + content[at + 1 :]
        case 1:
            return content[:at]
        case 2:
            return content[:at] + content[at + size :]
        case 3:
            return content[:at] + bytes([change[4]]) * size + content[at:]
        case 4:
            other = change[4] * 16 % (len(content) + 1)
            return content[:at] + content[other : other + size * 8] + content[at:]
        case _:
            bad_blocks.add(at // _BLOCK_BYTES)
            return content


def _batch(number: int, size: int) -> Batch:
    body = bytes([number]) * (size if size < 200 else (size - 199) * 400)
    trail = (f"{size:016x}",) * (size % 3)
    return Batch.of(_SIGNALS[number % 3], body, item_count=number, received_unix_nano=number, forwarded_by=trail)
