"""Cuts a large trace request into small ones, so that it can be checked without holding the interpreter's lock.

Used by the intake in its worker thread: protobuf parses 64 MiB in half a second during which no other thread runs,
the event loop's neither. Between pieces it does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

# The fields that are cut open: ExportTraceServiceRequest.resource_spans and ResourceSpans.scope_spans; what they hold
# is kept whole (the numbers are the same for metrics and for logs).
_PATH: Final = (1, 2)

_LEN: Final = 2

_MAX_TAG_BYTES: Final = 5
"""Of a tag or a length; longer forms are not followed, because the parser does not accept them either."""
_MAX_VALUE_BYTES: Final = 10


def pieces(body: bytes, piece_bytes: int) -> Iterator[bytes]:
    """Yield requests that together hold every field of `body` once, each around `piece_bytes` where that is possible.

    A single span or resource is never cut, so a piece can be larger. Each piece is nested as deep as in `body`; the
    pieces are well-formed protobuf if and only if `body` is. What cannot be followed is yielded unchanged, for the
    parser to judge.
    """
    yield from _pieces(memoryview(body), 0, piece_bytes)


def _pieces(view: memoryview, level: int, piece_bytes: int) -> Iterator[bytes]:
    start = position = 0
    while position < len(view):
        field = _field(view, position)
        if field is None:
            break
        number, payload, end = field
        if end - position > piece_bytes and level < len(_PATH) and payload is not None and number == _PATH[level]:
            if start < position:
                yield _nested(view[start:position], level)
            yield from _pieces(view[payload:end], level + 1, piece_bytes)
            start = end
        elif end - start >= piece_bytes:
            yield _nested(view[start:end], level)
            start = end
        position = end
    if start < len(view):
        yield _nested(view[start:], level)


def _nested(fields: memoryview, level: int) -> bytes:
    """Return the fields of a message at `level` inside the messages that lead down to it."""
    nested = bytes(fields)
    for number in reversed(_PATH[:level]):
        nested = bytes([number << 3 | _LEN]) + _varint_bytes(len(nested)) + nested
    return nested


def _field(view: memoryview, position: int) -> tuple[int, int | None, int] | None:
    """Return number, start of the payload if it has a length, and end of the field at `position`, or `None`."""
    try:
        tag, position = _varint(view, position, _MAX_TAG_BYTES)
        payload = None
        match tag & 7:
            case 0:
                _, end = _varint(view, position, _MAX_VALUE_BYTES)
            case 1:
                end = position + 8
            case 2:
                length, payload = _varint(view, position, _MAX_TAG_BYTES)
                end = payload + length
            case 5:
                end = position + 4
            case _:
                return None
    except (IndexError, OverflowError):
        return None
    return (tag >> 3, payload, end) if tag < 2**32 and end <= len(view) else None


def _varint(view: memoryview, position: int, max_bytes: int) -> tuple[int, int]:
    """Return the varint at `position` and the position after it.

    Raises `IndexError` if it is cut short, `OverflowError` if it is longer than `max_bytes`.
    """
    value = 0
    for shift in range(0, 7 * max_bytes, 7):
        byte = view[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise OverflowError


def _varint_bytes(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
