"""Decompression of a gzip body within a limit.

Used by the intake for OTLP/HTTP; gRPC decompresses by itself. `zlib.decompressobj` alone would stop silently after the
first member (RFC 1952, section 2.2, allows many) and at a truncated end, and the prefix of a request often parses.
"""

from __future__ import annotations

import zlib
from typing import Final

from otlp_receiver.errors import MalformedError, TooLargeError

MAX_MEMBERS: Final = 10_000
"""An empty member takes 20 bytes and some microseconds; block-wise compressors make one per 64 KiB."""

_GZIP_ONLY: Final = 16 + zlib.MAX_WBITS
# zlib hands back a copy of what follows a member, so it must not be given the whole of a large body each time.
_CHUNK_BYTES: Final = 64 * 1024


def gunzip(body: bytes, max_bytes: int) -> bytes:
    """Return all members of `body`, decompressed.

    Raises `TooLargeError` as soon as the result exceeds `max_bytes`, `MalformedError` if the body is no gzip, is cut
    short, is followed by anything else, or has more than `MAX_MEMBERS` members.
    """
    parts: list[bytes] = []
    room, position = max_bytes, 0
    for _ in range(MAX_MEMBERS):
        member = zlib.decompressobj(_GZIP_ONLY)
        while not member.eof:
            chunk = memoryview(body)[position : position + _CHUNK_BYTES]
            if not chunk:
                raise MalformedError("the gzip body is cut short: its end is missing")
            part = _decompress(member, chunk, room + 1)
            room -= len(part)
            if room < 0:
                raise TooLargeError(f"the request is larger than {max_bytes} bytes after decompression")
            parts.append(part)
            position += len(chunk) - len(member.unused_data)
        if position == len(body):
            return b"".join(parts)
    raise MalformedError(f"the gzip body has more than {MAX_MEMBERS} members")


def _decompress(member: zlib._Decompress, chunk: memoryview, max_bytes: int) -> bytes:
    try:
        return member.decompress(chunk, max_bytes)
    except zlib.error as error:
        raise MalformedError(f"the body is not valid gzip: {error}") from error
