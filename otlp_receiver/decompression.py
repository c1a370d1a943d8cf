"""Decompression of an OTLP/HTTP body within a limit: gzip, deflate and zstd.

Used when a body is opened; gRPC decompresses by itself. The decompressors alone would stop silently after the first
member or frame (RFC 1952, section 2.2, and RFC 8878, section 3.1, allow many) and at a truncated end, and the prefix of
a request often parses.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from typing import Any, Final, Protocol

from otlp_receiver.errors import MalformedError, TooLargeError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MAX_MEMBERS: Final = 10_000
"""An empty member takes 20 bytes and some microseconds; block-wise compressors make one per 64 KiB."""

MAX_ZSTD_WINDOW_LOG: Final = 23
"""8 MiB of memory for the window, which is all that a sender over HTTP may ask for (RFC 9659)."""

# The decompressors hand back a copy of what follows a member, so they must not be given the whole of a large body.
_CHUNK_BYTES: Final = 64 * 1024
_GZIP_ONLY: Final = 16 + zlib.MAX_WBITS


FEW_MEMBERS: Final = 16
"""So many take no more time than their bytes would in one: 10 000 empty zstd frames take a tenth of a second."""


class ManyMembersError(MalformedError):
    """The body has more members or frames than were allowed."""


class _Member(Protocol):
    """One member or frame on its way; `zlib` and `zstd` agree on this much."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: Any, max_length: int, /) -> bytes: ...


def gunzip(body: bytes, max_bytes: int, max_members: int = MAX_MEMBERS) -> bytes:
    """Return all members of a gzip body, decompressed.

    Raises `TooLargeError` as soon as the result exceeds `max_bytes`, `MalformedError` if the body is no gzip, is cut
    short or is followed by anything else, and `ManyMembersError` for more than `max_members`.
    """
    return _joined("gzip", lambda: zlib.decompressobj(_GZIP_ONLY), body, max_bytes, max_members)


def inflate(body: bytes, max_bytes: int, max_members: int = 1) -> bytes:
    """Return a deflate body, decompressed. Raises like `gunzip`; there is one member, whatever is allowed.

    HTTP's deflate is wrapped as zlib does it (RFC 9110, section 8.4.1.2); some senders leave the wrapping out.
    """
    try:
        return _joined("deflate", zlib.decompressobj, body, max_bytes, 1)
    except MalformedError:
        if _has_zlib_header(body):
            raise
    return _joined("deflate", lambda: zlib.decompressobj(-zlib.MAX_WBITS), body, max_bytes, 1)


def decompress_zstd(body: bytes, max_bytes: int, max_members: int = MAX_MEMBERS) -> bytes:
    """Return all frames of a zstd body, decompressed. Raises like `gunzip`, and for windows larger than allowed."""
    options = {int(zstd.DecompressionParameter.window_log_max): MAX_ZSTD_WINDOW_LOG}
    return _joined("zstd", lambda: zstd.ZstdDecompressor(options=options), body, max_bytes, max_members)


class Decompress(Protocol):
    """Returns a body decompressed, of at most `max_bytes` from at most `max_members` members."""

    def __call__(self, body: bytes, max_bytes: int, max_members: int = ..., /) -> bytes: ...


DECOMPRESSORS: Final[dict[str, Decompress]] = {
    "gzip": gunzip,
    "x-gzip": gunzip,  # the same (RFC 9110, section 8.4.1.3)
    "deflate": inflate,
    "zstd": decompress_zstd,
}
"""By content coding, in lower case."""


def _joined(coding: str, member_of: Callable[[], _Member], body: bytes, max_bytes: int, max_members: int) -> bytes:
    parts: list[bytes] = []
    room, position = max_bytes, 0
    for _ in range(max_members):
        member = member_of()
        while not member.eof:
            chunk = memoryview(body)[position : position + _CHUNK_BYTES]
            if not chunk:
                raise MalformedError(f"the {coding} body is cut short: its end is missing")
            part = _decompressed(coding, member, chunk, room + 1)
            room -= len(part)
            if room < 0:
                raise TooLargeError(f"the request is larger than {max_bytes} bytes after decompression")
            parts.append(part)
            position += len(chunk) - len(member.unused_data)
        if position == len(body):
            return b"".join(parts)
    if max_members == 1:
        raise MalformedError(f"the {coding} body is followed by something else")
    raise ManyMembersError(f"the {coding} body has more than {max_members} members")


def _decompressed(coding: str, member: _Member, chunk: memoryview, max_bytes: int) -> bytes:
    try:
        return member.decompress(chunk, max_bytes)
    except (zlib.error, zstd.ZstdError) as error:
        raise MalformedError(f"the body is not valid {coding}: {error}") from error


def _has_zlib_header(body: bytes) -> bool:
    return len(body) >= 2 and body[0] & 0x0F == zlib.DEFLATED and (body[0] << 8 | body[1]) % 31 == 0
