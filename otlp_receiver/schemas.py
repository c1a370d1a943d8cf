"""Small schemas of OTLP, made from descriptions, that let protobuf's C parser answer what Python would ask per item.

Used to validate and to inspect requests. Field numbers are OTLP's, so the bytes are the same. What a schema does not
declare is kept aside unread, and written again when a message is serialised. Two tricks carry the speed: a message
field that occurs more than once *merges* if it is declared as singular (protobuf encoding, "Last One Wins"), which
costs no memory however often it occurs; and what remains of a parsed message once undeclared fields are discarded can
be compared as bytes.
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import FileDescriptor

_Field = descriptor_pb2.FieldDescriptorProto

BYTES: Final = _Field.TYPE_BYTES
DOUBLE: Final = _Field.TYPE_DOUBLE
FIXED64: Final = _Field.TYPE_FIXED64
INT32: Final = _Field.TYPE_INT32
UINT32: Final = _Field.TYPE_UINT32

_PACKAGE: Final = "modelwatch.receiver"

Description = dict[str, tuple[tuple[int, str, int | str, str], ...]]
"""Per message its fields: number, name, type or the name of a message, and `one`, `many` or the name of a oneof."""


def merging(generated: Any) -> Any:
    """Return a copy of a generated class and of all that it is made of, in which no message field is repeated.

    Parsing with it accepts exactly the bytes that parsing with the original does, but hardly takes memory.
    """
    pool = descriptor_pool.DescriptorPool()
    _add_merging(generated.DESCRIPTOR.file, pool, set())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(generated.DESCRIPTOR.full_name))


def described(description: Description, root: str = "Request") -> Any:
    """Return the class of the message `root`, in a pool of its own where it cannot meet the generated ones."""
    file = descriptor_pb2.FileDescriptorProto(name="receiver.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in description.items():
        message = file.message_type.add(name=name)
        for oneof in dict.fromkeys(use for *_, use in fields if use not in ("one", "many")):
            message.oneof_decl.add(name=oneof)
        for number, field_name, type_, use in fields:
            field = message.field.add(name=field_name, number=number)
            field.label = _Field.LABEL_REPEATED if use == "many" else _Field.LABEL_OPTIONAL
            if isinstance(type_, str):
                field.type = _Field.TYPE_MESSAGE
                field.type_name = f".{_PACKAGE}.{type_}"
            else:
                field.type = type_  # type: ignore[assignment]  # the stub knows the enum's values, not plain int
            if use not in ("one", "many"):
                field.oneof_index = [oneof.name for oneof in message.oneof_decl].index(use)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{root}"))


def _add_merging(file: FileDescriptor, pool: descriptor_pool.DescriptorPool, known: set[str]) -> None:
    if file.name in known:
        return
    known.add(file.name)
    for dependency in file.dependencies:
        _add_merging(dependency, pool, known)
    copy = descriptor_pb2.FileDescriptorProto()
    file.CopyToProto(copy)
    for message in copy.message_type:
        _make_merging(message)
    pool.AddSerializedFile(copy.SerializeToString())


def _make_merging(message: descriptor_pb2.DescriptorProto) -> None:
    for field in message.field:
        if field.label == _Field.LABEL_REPEATED and field.type == _Field.TYPE_MESSAGE:
            field.label = _Field.LABEL_OPTIONAL
        elif field.label == _Field.LABEL_REPEATED and field.type == _Field.TYPE_UINT64:
            field.type = _Field.TYPE_BOOL  # written the same way, and a byte in memory instead of eight
    for nested in message.nested_type:
        _make_merging(nested)
