"""Damage to requests: bits, cuts and splices anywhere, and protobuf fields moved about with their lengths kept.

The second sort is still protobuf more often than not, in forms that no generated class writes: fields out of order,
messages in several parts, two members of one oneof.
"""

from __future__ import annotations

from random import Random

from tests.support.wire import varint

_MOST_CHANGES = 4


def damaged(body: bytes, random: Random, other: bytes = b"") -> bytes:
    """Return `body` after a few changes of any sort; `other` is what pieces may be taken from."""
    for _ in range(random.randint(1, _MOST_CHANGES)):
        body = random.choice((_flipped, _overwritten, _cut, _spliced, rearranged, rearranged))(body, random, other)
    return body


def rearranged(body: bytes, random: Random, other: bytes = b"") -> bytes:
    """Return `body` with a field doubled, taken out, moved, retagged or filled with something else, at any depth."""
    fields = _fields(body)
    if not fields:
        return body + other
    # The longer a field, the more there is in it to be rearranged.
    at = random.choices(range(len(fields)), [1 + len(raw) for *_, raw in fields])[0]
    tag, payload, raw = fields[at]
    if payload is not None and random.random() < 0.75:
        inner = rearranged(payload, random, other)
        fields[at] = tag, inner, varint(tag) + varint(len(inner)) + inner
        return b"".join(raw for *_, raw in fields)
    parts = [raw for *_, raw in fields]
    match random.randrange(6):
        case 0:
            parts.insert(random.randrange(len(parts) + 1), raw)
        case 1:
            del parts[at]
        case 2:
            random.shuffle(parts)
        case 3:
            parts[at] = varint(random.randrange(1, 16) << 3 | tag & 7) + raw[len(varint(tag)) :]
        case 4 if payload is not None:
            # A message in two parts, which merge when they are read.
            inner_parts = [raw for *_, raw in _fields(payload)]
            cut = random.randrange(len(inner_parts) + 1)
            halves = [b"".join(inner_parts[:cut]), b"".join(inner_parts[cut:])]
            parts[at : at + 1] = [varint(tag) + varint(len(half)) + half for half in halves]
        case _:
            parts[at] = random.choice([raw for *_, raw in _fields(other)] or [b""])
    return b"".join(parts)


def _fields(body: bytes) -> list[tuple[int, bytes | None, bytes]]:
    """Return tag, payload if there is one, and the whole of each field; nothing if it is not protobuf to its end."""
    fields = []
    position = 0
    try:
        while position < len(body):
            start = position
            tag, position = _varint(body, position)
            payload = None
            match tag & 7:
                case 0:
                    _, position = _varint(body, position)
                case 1:
                    position += 8
                case 2:
                    size, position = _varint(body, position)
                    payload = body[position : position + size]
                    position += size
                case 5:
                    position += 4
                case _:
                    return []
            if not tag >> 3:
                return []
            fields.append((tag, payload, body[start:position]))
    except IndexError:
        return []
    return fields if position == len(body) else []


def _varint(body: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = body[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, position


def _flipped(body: bytes, random: Random, _: bytes) -> bytes:
    if not body:
        return body
    changed = bytearray(body)
    changed[random.randrange(len(body))] ^= 1 << random.randrange(8)
    return bytes(changed)


def _overwritten(body: bytes, random: Random, _: bytes) -> bytes:
    at = random.randrange(len(body) + 1)
    junk = random.choice([b"\0", b"\xff", b"\xff" * 10, random.randbytes(random.randrange(1, 9))])
    return body[:at] + junk + body[at + random.choice([0, len(junk)]) :]


def _cut(body: bytes, random: Random, _: bytes) -> bytes:
    start = random.randrange(len(body) + 1)
    return body[:start] + body[start + random.choice([1, 2, 8, len(body)]) :]


def _spliced(body: bytes, random: Random, other: bytes) -> bytes:
    return body[: random.randrange(len(body) + 1)] + other[random.randrange(len(other) + 1) :]
