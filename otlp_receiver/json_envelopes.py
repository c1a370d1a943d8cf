"""The envelopes of OTLP/JSON requests, walked through piece by piece.

Between `json_requests` and `json_messages`. An envelope is a message that has no attributes of its own but contains
such that have: the request, the resources and scopes that items are listed under, the metric around its points.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from otlp_receiver.errors import TooLargeError
from otlp_receiver.json_messages import Encode, MessageEncoders, alternatives, require_one
from otlp_receiver.json_texts import JsonText
from otlp_receiver.json_values import JsonError, wrong_kind
from otlp_receiver.json_wire import LENGTH, tag_of, with_length

Walk = Callable[[JsonText, int], bytes]
"""From a text that stands before a value, and the most bytes that may come of it, to bytes of the wire format."""

_KEY_VALUE: Final = "opentelemetry.proto.common.v1.KeyValue"


def envelope_walk(descriptor: Descriptor, encoders: MessageEncoders, depth: int = 1) -> Walk:
    """Return what reads an envelope at this depth, and through its fields all that it contains."""
    groups = alternatives(descriptor)
    fields = {
        field.json_name: _field(field, encoders, depth)
        for field in sorted(descriptor.fields, key=lambda field: field.number)
    }

    def walk(text: JsonText, max_bytes: int) -> bytes:
        if text.peek() != "{":
            raise wrong_kind("an object", text.value())
        given: dict[str, bytes] = {}
        name = ""
        try:
            for member in text.members():
                field = fields.get(member)
                given.pop(member, None)
                if field is None or text.peek() == "n":
                    # An unknown member, or null, which is the same as none.
                    text.value()
                    continue
                name = member
                given[name] = field(text, max_bytes)
                name = ""
            for group in groups:
                require_one(group, given)
        except JsonError as error:
            error.pass_through(f".{name}" if name else "")
            raise
        return b"".join([given[name] for name in fields if name in given])

    return walk


def _field(field: FieldDescriptor, encoders: MessageEncoders, depth: int) -> Walk:
    if field.message_type is not None and _is_envelope(field.message_type):
        envelope = _submessage(tag_of(field.number, LENGTH), envelope_walk(field.message_type, encoders, depth + 1))
        return _repeated(envelope) if field.is_repeated else envelope
    if field.message_type is not None and field.is_repeated:
        return _repeated(_whole(encoders.message_field(field.number, field.message_type), depth))
    return _whole(encoders.field(field), depth)


def _is_envelope(descriptor: Descriptor) -> bool:
    if descriptor.full_name == _KEY_VALUE or "attributes" in descriptor.fields_by_name:
        return False
    inner = [field.message_type for field in descriptor.fields if field.message_type is not None]
    return any("attributes" in one.fields_by_name or _is_envelope(one) for one in inner)


def _submessage(tag: bytes, envelope: Walk) -> Walk:
    def walk(text: JsonText, max_bytes: int) -> bytes:
        return tag + with_length(envelope(text, max_bytes))

    return walk


def _whole(encode: Encode, depth: int) -> Walk:
    def walk(text: JsonText, _: int) -> bytes:
        return encode(text.value(), depth)

    return walk


def _repeated(one: Walk) -> Walk:
    def walk(text: JsonText, max_bytes: int) -> bytes:
        if text.peek() != "[":
            raise wrong_kind("an array", text.value())
        # Not a list of parts: millions of empty items would take fifty bytes each.
        parts = bytearray()
        count = 0
        try:
            for _ in text.elements():
                parts += one(text, max_bytes)
                if len(parts) > max_bytes:
                    raise TooLargeError(f"the request is larger than {max_bytes} bytes as protobuf")
                count += 1
        except JsonError as error:
            error.pass_through(f"[{count}]")
            raise
        return bytes(parts)

    return walk
