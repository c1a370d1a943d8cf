"""The form of one batch in a file of the spill: a head that vouches for itself and the body, and the body as it came.

A batch that was forwarded by others has a tail as well, with their ids; a version that knows of no tails finds head and
body, and passes over what follows.

Pure; `segment_reader.py` and `segment_writer.py` move such records from and to files.

A file's marker and its checksums are keyed with a salt that stands in the file's name. So a client cannot send a body
that holds a record, to be found in it once the record around it is damaged.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from telemetry import Batch, Signal
from telemetry.forwarding_trail import ID_BYTES

SALT_BYTES: Final = 16
MARKER_BYTES: Final = 8

# marker, signal, ids in the tail, body bytes, item count, received, batch id, checksum of the body
_FIELDS: Final = struct.Struct("<8sBB2xIQQ16s16s")
_HEAD_CHECKSUM_BYTES: Final = 8
_TAIL_CHECKSUM_BYTES: Final = 8
_BODY_CHECKSUM_BYTES: Final = 16
HEAD_BYTES: Final = _FIELDS.size + _HEAD_CHECKSUM_BYTES

_CODES: Final[Mapping[Signal, int]] = {Signal.TRACES: 1, Signal.METRICS: 2, Signal.LOGS: 3}
_SIGNALS: Final[Mapping[int, Signal]] = {code: signal for signal, code in _CODES.items()}


@dataclass(frozen=True, slots=True)
class Head:
    """What precedes a body."""

    signal: Signal
    forwarders: int
    body_bytes: int
    item_count: int
    received_unix_nano: int
    batch_id: bytes
    body_checksum: bytes

    @property
    def record_bytes(self) -> int:
        """Size of the whole record."""
        return HEAD_BYTES + self.content_bytes

    @property
    def content_bytes(self) -> int:
        """Size of what follows: the body, and the tail if there is one."""
        return self.body_bytes + _tail_bytes(self.forwarders)


def record_bytes_of(batch: Batch) -> int:
    """Return how large a batch's record is."""
    return HEAD_BYTES + len(batch.body) + _tail_bytes(len(batch.forwarded_by))


def _tail_bytes(forwarders: int) -> int:
    return forwarders * ID_BYTES + _TAIL_CHECKSUM_BYTES if forwarders else 0


class RecordForm:
    """Writes and reads the records of one file, whose name holds the `salt`."""

    def __init__(self, salt: bytes) -> None:
        self._salt = salt
        self.marker = hashlib.blake2b(salt, digest_size=MARKER_BYTES, person=b"spill marker").digest()

    def head_of(self, batch: Batch) -> bytes:
        """Return what to write before the body of a batch."""
        fields = _FIELDS.pack(
            self.marker,
            _CODES[batch.signal],
            len(batch.forwarded_by),
            len(batch.body),
            batch.item_count,
            batch.received_unix_nano,
            batch.batch_id,
            self._checksum(batch.body, _BODY_CHECKSUM_BYTES),
        )
        return fields + self._checksum(fields, _HEAD_CHECKSUM_BYTES)

    def tail_of(self, batch: Batch) -> bytes:
        """Return what to write behind the body of a batch, mostly nothing."""
        if not batch.forwarded_by:
            return b""
        ids = bytes.fromhex("".join(batch.forwarded_by))
        return ids + self._tail_checksum(batch.batch_id, ids)

    def read_head(self, raw: bytes) -> Head | None:
        """Return the head that `raw` begins with, or `None` if a bit of it is wrong or missing."""
        fields, checksum = raw[: _FIELDS.size], raw[_FIELDS.size : HEAD_BYTES]
        if not raw.startswith(self.marker) or checksum != self._checksum(fields, _HEAD_CHECKSUM_BYTES):
            return None
        _, code, *rest = _FIELDS.unpack(fields)
        return Head(_SIGNALS[code], *rest)

    def batch_of(self, head: Head, content: bytes) -> Batch | None:
        """Return the batch, `None` if the body is not what was written, or without ids if only the tail is not.

        A batch without the ids of who forwarded it may go round once more to those who had it; it is known by then.
        """
        body, tail = (content[: head.body_bytes], content[head.body_bytes :]) if head.forwarders else (content, b"")
        if len(content) != head.content_bytes or self._checksum(body, _BODY_CHECKSUM_BYTES) != head.body_checksum:
            return None
        ids = tail[: head.forwarders * ID_BYTES]
        if head.forwarders and tail[len(ids) :] != self._tail_checksum(head.batch_id, ids):
            ids = b""
        trail = tuple(ids[at : at + ID_BYTES].hex() for at in range(0, len(ids), ID_BYTES))
        return Batch(head.signal, body, head.batch_id, head.item_count, head.received_unix_nano, trail)

    def _tail_checksum(self, batch_id: bytes, ids: bytes) -> bytes:
        # With the batch's id, so that a damaged file does not give a batch the tail of another.
        return self._checksum(batch_id + ids, _TAIL_CHECKSUM_BYTES)

    def _checksum(self, data: bytes, size: int) -> bytes:
        return hashlib.blake2b(data, digest_size=size, key=self._salt).digest()
