"""The protobuf encoding of OTLP/JSON objects, by tables made from the descriptors of the generated classes.

The middle of the decoder, between the items that `json_envelopes` finds and the readers of `json_values`. It writes the
wire format at once, fields in the order of their numbers, because a tree of messages in between costs as much again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from otlp_receiver import json_values as values
from otlp_receiver import json_wire as wire
from otlp_receiver.json_values import JsonError, wrong_kind

MAX_DEPTH: Final = 100
"""Messages within messages, the request being the first: as many as protobuf's parsers read by default."""

Encode = Callable[[Any, int], bytes]
"""From a JSON value, and the depth of the message that it belongs to, to bytes in protobuf's wire format."""

Read = Callable[[Any], Any]
Pack = Callable[[Any], bytes]

_IDS: Final = frozenset({"trace_id", "span_id", "parent_span_id"})

_SCALARS: Final[Mapping[int, tuple[int, Read, Pack]]] = {
    FieldDescriptor.TYPE_STRING: (wire.LENGTH, values.read_string, wire.with_length),
    FieldDescriptor.TYPE_BOOL: (wire.VARINT, values.read_bool, wire.varint),
    FieldDescriptor.TYPE_ENUM: (wire.VARINT, values.read_enum, wire.signed_varint),
    FieldDescriptor.TYPE_INT32: (wire.VARINT, values.read_int32, wire.signed_varint),
    FieldDescriptor.TYPE_INT64: (wire.VARINT, values.read_int64, wire.signed_varint),
    FieldDescriptor.TYPE_SINT32: (wire.VARINT, values.read_int32, wire.zigzag),
    FieldDescriptor.TYPE_UINT32: (wire.VARINT, values.read_uint32, wire.varint),
    FieldDescriptor.TYPE_UINT64: (wire.VARINT, values.read_uint64, wire.varint),
    FieldDescriptor.TYPE_FIXED32: (wire.FIXED32, values.read_uint32, wire.pack_fixed32),
    FieldDescriptor.TYPE_FIXED64: (wire.FIXED64, values.read_uint64, wire.pack_fixed64),
    FieldDescriptor.TYPE_SFIXED64: (wire.FIXED64, values.read_int64, wire.pack_sfixed64),
    FieldDescriptor.TYPE_DOUBLE: (wire.FIXED64, values.read_double, wire.pack_double),
}
"""Wire type, reader and packer of protobuf's types, as far as OTLP uses them."""


class MessageEncoders:
    """The encoders of message types, each made when it is first needed and once: `AnyValue` contains itself."""

    def __init__(self) -> None:
        self._encoders: dict[str, Encode] = {}

    def field(self, field: FieldDescriptor) -> Encode:
        """Return the encoder of a field's whole value, its tags included."""
        if field.message_type is not None:
            one = self.message_field(field.number, field.message_type)
            return _repeated(one) if field.is_repeated else one
        if field.is_packed:
            return _packed(field)
        if field.is_repeated:
            return _repeated(_present(field))
        if field.type == FieldDescriptor.TYPE_STRING:
            return _string(field)
        return _present(field) if field.has_presence else _implicit(field)

    def message_field(self, number: int, descriptor: Descriptor) -> Encode:
        """Return the encoder of a message in a field of this number: of one element, if it is repeated."""
        tag = wire.tag_of(number, wire.LENGTH)
        message = self._message(descriptor)
        heads = wire.heads(tag)

        def encode(value: Any, depth: int) -> bytes:
            data = message(value, depth + 1)
            size = len(data)
            return (heads[size] if size < len(heads) else tag + wire.varint(size)) + data

        return encode

    def _message(self, descriptor: Descriptor) -> Encode:
        if descriptor.full_name not in self._encoders:
            fields: dict[str, Encode] = {}
            self._encoders[descriptor.full_name] = _message(fields, alternatives(descriptor))
            for field in sorted(descriptor.fields, key=lambda field: field.number):
                fields[field.json_name] = self.field(field)
        return self._encoders[descriptor.full_name]


def alternatives(descriptor: Descriptor) -> list[frozenset[str]]:
    """Return the JSON names of the members of each oneof; an optional field is none, though protobuf makes it one."""
    groups = [frozenset(field.json_name for field in oneof.fields) for oneof in descriptor.oneofs]
    return [group for group in groups if len(group) > 1]


def require_one(group: frozenset[str], value: Mapping[str, Any]) -> None:
    """Refuse two members of a oneof: which of them was meant cannot be known."""
    names = group & value.keys()
    if len(names) > 1:
        given = sorted(name for name in names if value[name] is not None)
        if len(given) > 1:
            raise JsonError(f"must have only one of {' and '.join(given)}")


def _message(fields: Mapping[str, Encode], groups: list[frozenset[str]]) -> Encode:
    """Return the encoder of a message with these fields, which are in the order of their numbers."""

    def encode(value: Any, depth: int) -> bytes:
        if type(value) is not dict:
            raise wrong_kind("an object", value)
        if depth > MAX_DEPTH:
            raise JsonError(f"is nested deeper than {MAX_DEPTH} messages")
        name = ""
        try:
            if len(value) == 1:
                # As every AnyValue is, and those are half of all messages.
                [(name, member)] = value.items()
                field = fields.get(name)
                return b"" if field is None or member is None else field(member, depth)
            if not value:
                return b""
            for group in groups:
                require_one(group, value)
            parts = []
            for name, field in fields.items():
                member = value.get(name)
                if member is not None:
                    parts.append(field(member, depth))
            return b"".join(parts)
        except JsonError as error:
            error.pass_through(f".{name}" if name else "")
            raise

    return encode


def _repeated(one: Encode) -> Encode:
    def encode(value: Any, depth: int) -> bytes:
        if type(value) is not list:
            raise wrong_kind("an array", value)
        # Not a list of parts: a million of them that are empty would take fifty bytes each.
        parts = bytearray()
        count = 0
        try:
            for element in value:
                parts += one(element, depth)
                count += 1
        except JsonError as error:
            error.pass_through(f"[{count}]")
            raise
        return bytes(parts)

    return encode


def _packed(field: FieldDescriptor) -> Encode:
    tag = wire.tag_of(field.number, wire.LENGTH)
    _, read, pack = _scalar(field)
    elements = _repeated(lambda value, _: pack(read(value)))

    def encode(value: Any, depth: int) -> bytes:
        data = elements(value, depth)
        return tag + wire.with_length(data) if data else b""

    return encode


def _present(field: FieldDescriptor) -> Encode:
    wire_type, read, pack = _scalar(field)
    tag = wire.tag_of(field.number, wire_type)

    def encode(value: Any, _: int) -> bytes:
        return tag + pack(read(value))

    return encode


def _implicit(field: FieldDescriptor) -> Encode:
    """Return the encoder of a field whose default is left out, as generated classes do."""
    wire_type, read, pack = _scalar(field)
    tag = wire.tag_of(field.number, wire_type)
    # Compared as bytes: the double -0.0 equals the default, but is written.
    default = pack(field.default_value)

    def encode(value: Any, _: int) -> bytes:
        data = pack(read(value))
        return tag + data if data != default else b""

    return encode


def _string(field: FieldDescriptor) -> Encode:
    """Return the encoder of a string, of which there are more than of all the rest."""
    tag = wire.tag_of(field.number, wire.LENGTH)
    has_presence = field.has_presence
    heads = wire.heads(tag)

    def encode(value: Any, _: int) -> bytes:
        data = values.read_string(value)
        size = len(data)
        if size == 0 and not has_presence:
            return b""
        return (heads[size] if size < len(heads) else tag + wire.varint(size)) + data

    return encode


def _scalar(field: FieldDescriptor) -> tuple[int, Read, Pack]:
    if field.type == FieldDescriptor.TYPE_BYTES:
        return wire.LENGTH, values.read_id if field.name in _IDS else values.read_base64, wire.with_length
    return _SCALARS[field.type]
