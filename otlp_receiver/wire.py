"""Protobuf's wire format, as far as it takes to find where fields begin and end.

Used to take large requests apart and to put them together again; what is in the fields is for the parser.
"""

from __future__ import annotations

from typing import Final

VARINT: Final = 0
LEN: Final = 2
_GROUP_START: Final = 3
_GROUP_END: Final = 4

_MAX_TAG_BYTES: Final = 5
"""Of a tag or a length; longer forms are not followed, because the parser does not accept them either."""
_MAX_VALUE_BYTES: Final = 10
_MAX_GROUP_DEPTH: Final = 100


Field = tuple[int, int | None, int]
"""Where a field is: its number, the start of its payload if it has a length, and its end."""


def field_at(view: memoryview, position: int) -> Field | None:
    """Return the field that begins at `position`, or `None` if it cannot be followed to its end."""
    payload: int | None = None
    try:
        # Most fields by far have a tag of one byte, and a length of one or two: a quarter of the time for them.
        tag, length = view[position], view[position + 1]
        if tag & 0x87 == LEN and length < 0x80:
            payload = position + 2
        elif tag & 0x87 == LEN and view[position + 2] < 0x80:
            length = length & 0x7F | view[position + 2] << 7
            payload = position + 3
        if payload is not None:
            end = payload + length
            return (tag >> 3, payload, end) if end <= len(view) else None
        tag, position = varint_at(view, position, _MAX_TAG_BYTES)
        match tag & 7:
            case 0:
                _, end = varint_at(view, position, _MAX_VALUE_BYTES)
            case 1:
                end = position + 8
            case 2:
                length, payload = varint_at(view, position, _MAX_TAG_BYTES)
                end = payload + length
            case 3:
                end = _group_end(view, position, tag >> 3)
            case 5:
                end = position + 4
            case _:
                return None
    except (IndexError, OverflowError):
        return None
    return (tag >> 3, payload, end) if tag < 2**32 and end <= len(view) else None


def varint_at(view: memoryview, position: int, max_bytes: int = _MAX_VALUE_BYTES) -> tuple[int, int]:
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


def varint_bytes(value: int) -> bytes:
    """Return the shortest encoding of a varint."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def header(number: int, payload_bytes: int) -> bytes:
    """Return what stands before the payload of a field with a length."""
    return varint_bytes(number << 3 | LEN) + varint_bytes(payload_bytes)


def _group_end(view: memoryview, position: int, number: int) -> int:
    """Return the position after the group that was opened just before `position`.

    OTLP has no groups, but an unknown field may be one. Raises like `varint_at` if it is not closed properly.
    """
    opened = [number]
    while opened:
        tag, after = varint_at(view, position, _MAX_TAG_BYTES)
        if tag & 7 == _GROUP_START:
            opened.append(tag >> 3)
            position = after
        elif tag & 7 == _GROUP_END:
            if opened.pop() != tag >> 3:
                raise OverflowError
            position = after
        else:
            field = field_at(view, position)
            if field is None:
                raise OverflowError
            position = field[2]
        if len(opened) > _MAX_GROUP_DEPTH:
            raise OverflowError
    return position
