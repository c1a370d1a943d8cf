"""Decompression: exactly what the plain decompressors make of a body that is whole, and nothing of any other."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from typing import Final

from otlp_receiver.decompression import DECOMPRESSORS, MAX_MEMBERS, zstd
from otlp_receiver.errors import MalformedError, TooLargeError

LIMIT: Final = 10_000


def raw_deflate(data: bytes) -> bytes:
    """Return a deflate stream without the wrapping that HTTP asks for."""
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


CODERS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "deflate": zlib.compress,
    "raw deflate": raw_deflate,
    "zstd": zstd.compress,
}
_KINDS: Final = tuple(CODERS)


def seeds() -> Iterator[bytes]:
    for number, coder in enumerate(CODERS.values()):
        for plain in (b"", b"text " * 50, bytes(LIMIT), bytes(LIMIT + 1)):
            yield bytes([number]) + coder(plain)
            yield bytes([number]) + coder(plain) + coder(b"more")
        yield bytes([number | 0x80, 3]) + bytes(range(200))


def check(data: bytes) -> None:
    """Judge the rest of `data` as a body, or what it becomes compressed in parts; the first byte says which."""
    if not data:
        return
    kind = _KINDS[data[0] % len(_KINDS)]
    if data[0] & 0x80:
        _check_whole_and_cut(kind, data[1:2], data[2:])
    else:
        _check_any(kind, data[1:])


def _check_any(kind: str, body: bytes) -> None:
    """Whatever is taken is what another decompressor makes of it."""
    plain = _decompressed(kind, body)
    expected = _expected(kind, body)
    if plain is not None:
        assert len(plain) <= LIMIT
        assert plain == expected
    elif expected is not None:
        assert len(expected) > LIMIT or _has_padding(body) or kind == "zstd", "refused although it is whole"


def _check_whole_and_cut(kind: str, count: bytes, plain: bytes) -> None:
    """Whole members are joined, and every other prefix of them is refused."""
    plain = plain[:2000]
    members = 1 if kind.endswith("deflate") else 1 + sum(count) % 4
    step = len(plain) // members + 1
    parts = [CODERS[kind](plain[at * step : (at + 1) * step]) for at in range(members)]
    body = b"".join(parts)
    assert _decompressed(kind, body) == plain
    ends = {sum(map(len, parts[:at])) for at in range(1, members + 1)}
    for end in range(max(0, len(body) - 40), len(body)):
        assert end in ends or _decompressed(kind, body[:end]) is None, "cut short, and taken"


def _decompressed(kind: str, body: bytes) -> bytes | None:
    try:
        return DECOMPRESSORS["deflate" if kind == "raw deflate" else kind](body, LIMIT)
    except (MalformedError, TooLargeError):
        return None


def _expected(kind: str, body: bytes) -> bytes | None:
    """Return what the standard library makes of a body: all of it, or of one that is damaged, nothing."""
    try:
        if kind == "gzip":
            return gzip.decompress(body) if body and body.count(b"\x1f\x8b") <= MAX_MEMBERS else None
        if kind == "zstd":
            return _all_frames(body)
        # The wrapping begins with a number that 31 divides; what begins like that is not tried without it.
        is_wrapped = body[:1] and body[0] & 0x0F == 8 and int.from_bytes(body[:2], "big") % 31 == 0
        return _one_stream(body, zlib.MAX_WBITS if is_wrapped else -zlib.MAX_WBITS)
    except (zlib.error, zstd.ZstdError, gzip.BadGzipFile, EOFError):
        return None


def _all_frames(body: bytes) -> bytes | None:
    if not body:
        return None
    whole = b""
    while body:
        decompressor = zstd.ZstdDecompressor()
        whole += decompressor.decompress(body)
        if not decompressor.eof:
            return None
        body = decompressor.unused_data
    return whole


def _one_stream(body: bytes, wbits: int) -> bytes | None:
    decompressor = zlib.decompressobj(wbits)
    try:
        plain = decompressor.decompress(body)
    except zlib.error:
        return None
    return plain if decompressor.eof and not decompressor.unused_data else None


def _has_padding(body: bytes) -> bool:
    """Zeros after a gzip, which the standard library skips as tapes have them."""
    return body.endswith(b"\0")
