"""Remembers, beside the segments, up to where RabbitMQ has everything.

It only spares repetition after a restart, so it is not synced; whatever is wrong with it, the worst is a repetition.
"""

from __future__ import annotations

import hashlib
import os
import struct
from pathlib import Path
from typing import Final

from rabbit_exporter.segment_name import SegmentName
from rabbit_exporter.segment_writer import FILE_MODE

_FIELDS: Final = struct.Struct("<QQ16s")
_CHECKSUM_BYTES: Final = 16
_FILE: Final = "cursor"


def save_cursor(folder: Path, name: SegmentName, offset: int) -> None:
    """Note that everything before `offset` of this segment is done. Raises `OSError`."""
    fields = _FIELDS.pack(name.number, offset, name.salt)
    # One small write in place: torn or not, the checksum tells.
    descriptor = os.open(folder / _FILE, os.O_CREAT | os.O_WRONLY, FILE_MODE)
    try:
        os.pwrite(descriptor, fields + _checksum(fields), 0)
    finally:
        os.close(descriptor)


def load_cursor(folder: Path) -> tuple[SegmentName, int] | None:
    """Return the segment and the offset noted last, or `None`. Raises `OSError`.

    The salt ties it to one file: the cursor of another segment with the same number says nothing.
    """
    try:
        raw = (folder / _FILE).read_bytes()
    except FileNotFoundError:
        return None
    fields = raw[: _FIELDS.size]
    if len(fields) < _FIELDS.size or raw[_FIELDS.size :] != _checksum(fields):
        return None
    number, offset, salt = _FIELDS.unpack(fields)
    return SegmentName(number, salt), offset


def _checksum(fields: bytes) -> bytes:
    return hashlib.blake2b(fields, digest_size=_CHECKSUM_BYTES, person=b"spill cursor").digest()
