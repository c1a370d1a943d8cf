"""A plain encoder of OTLP/JSON and a maker of requests with anything in them, for tests of what decodes it.

It shares nothing with the decoder: names are made from the snake_case ones, and each rule is written out once more.
"""

from __future__ import annotations

import base64
import math
import re
from random import Random
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

WIDE_INTEGERS = {
    FieldDescriptor.TYPE_INT64,
    FieldDescriptor.TYPE_UINT64,
    FieldDescriptor.TYPE_FIXED64,
    FieldDescriptor.TYPE_SFIXED64,
}
_TEXTS = ["", "GET", "ü", "日本", "🙂", 'a"b\\c', "\0", "{}[],:", "line\nbreak", "x" * 130, "é" * 300]
_DOUBLES = [0.0, -0.0, 1.0, -2.5, 1e300, 5e-324, 0.1, math.nan, math.inf, -math.inf]
_RANGES = {
    FieldDescriptor.TYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_SINT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_ENUM: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.TYPE_FIXED32: (0, 2**32 - 1),
    FieldDescriptor.TYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_SFIXED64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_UINT64: (0, 2**64 - 1),
    FieldDescriptor.TYPE_FIXED64: (0, 2**64 - 1),
}


def otlp_json(message: Message) -> dict[str, Any]:
    """Return a message as OTLP/JSON, 64-bit integers as strings."""
    members = {}
    for field, value in message.ListFields():
        name = re.sub("_([a-z])", lambda match: match[1].upper(), field.name)
        members[name] = [_value(field, one) for one in value] if field.is_repeated else _value(field, value)
    return members


def _value(field: FieldDescriptor, value: Any) -> Any:
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        return otlp_json(value)
    if field.type in WIDE_INTEGERS:
        return str(value)
    if field.type == FieldDescriptor.TYPE_BYTES:
        is_id = field.name.endswith(("trace_id", "span_id"))
        return value.hex() if is_id else base64.b64encode(value).decode()
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    return value


def fill(message: Message, random: Random, depth: int = 8) -> None:
    """Set most fields of a message, and of those within it, to common and to extreme values."""
    chosen = {oneof.full_name: random.choice(oneof.fields) for oneof in message.DESCRIPTOR.oneofs}
    for field in message.DESCRIPTOR.fields:
        is_another = field.containing_oneof is not None and chosen[field.containing_oneof.full_name] is not field
        is_too_deep = field.message_type is not None and depth == 0
        if is_another or is_too_deep or random.random() < 0.15:
            continue
        values = getattr(message, field.name)
        if field.message_type is None and field.is_repeated:
            values.extend(_scalar(field, random) for _ in range(random.randrange(4)))
        elif field.message_type is None:
            setattr(message, field.name, _scalar(field, random))
        elif field.is_repeated:
            for _ in range(random.choice([1, 1, 1, 2])):
                fill(values.add(), random, depth - 1)
        else:
            values.SetInParent()
            fill(values, random, depth - 1)


def _scalar(field: FieldDescriptor, random: Random) -> Any:
    if field.type == FieldDescriptor.TYPE_STRING:
        return random.choice(_TEXTS)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return random.randbytes(random.choice([0, 1, 8, 16, 200]))
    if field.type == FieldDescriptor.TYPE_BOOL:
        return random.random() < 0.5
    if field.type == FieldDescriptor.TYPE_DOUBLE:
        return random.choice(_DOUBLES)
    lowest, highest = _RANGES[field.type]
    return random.choice([lowest, highest, 0, 1, random.randint(lowest, highest)])
