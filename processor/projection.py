"""A second schema of OTLP traces that declares only what RED figures are derived from.

The decoder parses requests with it: the field numbers are OTLP's, so the bytes are the same, but resources and
attributes are declared as `bytes`, which the protobuf runtime copies without looking inside. Parsing and reading a
request this way costs a quarter of walking the generated classes (see `benchmarks/decoding.py`), because a
repeated attribute is then recognised by its bytes instead of being taken apart again for every span.

What is not declared here is skipped as an unknown field. Text is declared as `bytes` too, so that one broken UTF-8
sequence does not make a whole request unreadable. Field numbers: opentelemetry-proto, `trace.proto`,
`common.proto`, `resource.proto`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_PACKAGE: Final = "modelwatch.projection"
_Field = descriptor_pb2.FieldDescriptorProto

_BYTES: Final = _Field.TYPE_BYTES

Messages = Mapping[str, tuple[tuple[int, str, int | str, bool], ...]]
"""Per message: field number, name, type (or the name of a message), whether it is repeated."""

ATTRIBUTE_MESSAGES: Final[Messages] = {
    "Resource": ((1, "attributes", "KeyValue", True),),
    "KeyValue": ((1, "key", _BYTES, False), (2, "value", "AnyValue", False)),
    "AnyValue": (
        (1, "string_value", _BYTES, False),
        (2, "bool_value", _Field.TYPE_BOOL, False),
        (3, "int_value", _Field.TYPE_INT64, False),
        (4, "double_value", _Field.TYPE_DOUBLE, False),
        (5, "array_value", _BYTES, False),
        (6, "kvlist_value", _BYTES, False),
        (7, "bytes_value", _BYTES, False),
    ),
}
_MESSAGES: Final[Messages] = {
    "Request": ((1, "resource_spans", "ResourceSpans", True),),
    # `resource` is repeated: protobuf merges a message field that occurs twice, and joined bytes parse as the merger.
    "ResourceSpans": ((1, "resource", _BYTES, True), (2, "scope_spans", "ScopeSpans", True)),
    "ScopeSpans": ((2, "spans", "Span", True),),
    "Span": (
        (1, "trace_id", _BYTES, False),
        (5, "name", _BYTES, False),
        (6, "kind", _Field.TYPE_INT32, False),
        (7, "start_time_unix_nano", _Field.TYPE_FIXED64, False),
        (8, "end_time_unix_nano", _Field.TYPE_FIXED64, False),
        (9, "attributes", _BYTES, True),
        (15, "status", "Status", False),
    ),
    # The status message, which differs from error to error, is left out.
    "Status": ((3, "code", _Field.TYPE_INT32, False),),
    **ATTRIBUTE_MESSAGES,
}
_ONEOFS: Final[Mapping[str, tuple[str, int]]] = {"AnyValue": ("value", 1), "Metric": ("data", 5)}
"""Per message: the name of the choice, and the number from which on its fields take part in it."""


class Projection(NamedTuple):
    """The message classes that are parsed from bytes; each has `FromString`, which raises protobuf's `DecodeError`."""

    request: Any
    resource: Any
    key_value: Any


def load_projection() -> Projection:
    """Build the classes in a descriptor pool of their own, where they cannot meet the generated ones."""
    return Projection(*load_messages(_MESSAGES, ("Request", "Resource", "KeyValue")))


def load_messages(messages: Messages, wanted: Sequence[str], syntax: str = "proto3") -> list[Any]:
    """Return the classes of the `wanted` messages; with the syntax `proto2` each field tells whether it was there."""
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(_file_descriptor(messages, syntax).SerializeToString())
    return [message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in wanted]


def _file_descriptor(messages: Messages, syntax: str) -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="modelwatch/projection.proto", package=_PACKAGE, syntax=syntax)
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for field in fields:
            _add_field(message, *field)
        if name in _ONEOFS:
            oneof, first = _ONEOFS[name]
            message.oneof_decl.add(name=oneof)
            for added in message.field:
                if added.number >= first:
                    added.oneof_index = 0
    return file


def _add_field(
    message: descriptor_pb2.DescriptorProto, number: int, name: str, type_: int | str, is_repeated: bool
) -> None:
    label = _Field.LABEL_REPEATED if is_repeated else _Field.LABEL_OPTIONAL
    field = message.field.add(name=name, number=number, label=label)
    if isinstance(type_, str):
        field.type = _Field.TYPE_MESSAGE
        field.type_name = f".{_PACKAGE}.{type_}"
    else:
        field.type = type_  # type: ignore[assignment]  # the stub knows the enum's values, not plain int
