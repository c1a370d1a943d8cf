"""Protobuf's wire format, as much of it as OTLP's fields use.

The innermost part of the decoder of OTLP/JSON, which writes it without building messages first.
"""

from __future__ import annotations

import struct
from typing import Final

VARINT: Final = 0
FIXED64: Final = 1
LENGTH: Final = 2
FIXED32: Final = 5

_MASK64: Final = 2**64 - 1
_ONE_BYTE: Final = tuple(bytes([number]) for number in range(0x80))


def tag_of(number: int, wire_type: int) -> bytes:
    return varint(number << 3 | wire_type)


def heads(tag: bytes) -> tuple[bytes, ...]:
    """Return the tag with each length that takes one byte: made once, they spare most fields a call."""
    return tuple(tag + length for length in _ONE_BYTE)


def with_length(data: bytes) -> bytes:
    return varint(len(data)) + data


def varint(number: int) -> bytes:
    if number < 0x80:
        return _ONE_BYTE[number]
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)


def signed_varint(number: int) -> bytes:
    """Two's complement: a negative number takes ten bytes, whatever the width of its type."""
    return varint(number & _MASK64)


def zigzag(number: int) -> bytes:
    return varint((number << 1 ^ number >> 63) & _MASK64)


pack_double: Final = struct.Struct("<d").pack
pack_fixed32: Final = struct.Struct("<I").pack
pack_fixed64: Final = struct.Struct("<Q").pack
pack_sfixed64: Final = struct.Struct("<q").pack
