"""OTLP/JSON requests as protobuf, the encoding that everything behind the receiver reads.

Called with the decompressed body of a JSON request before its items are judged. It follows OTLP, "JSON Protobuf
Encoding", and the JSON mapping of proto3 where that refers to it; the parser that comes with protobuf knows the latter.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from otlp_receiver.errors import MalformedError
from otlp_receiver.json_envelopes import Walk, envelope_walk
from otlp_receiver.json_messages import MessageEncoders
from otlp_receiver.json_texts import JsonText
from otlp_receiver.json_values import JsonError

_LONGEST_PATH: Final = 200
_LARGEST_PROTOBUF: Final = 2**31 - 1


def protobuf_of(message_class: type[Message], body: bytes, max_bytes: int = _LARGEST_PROTOBUF) -> bytes:
    """Return the request that `body` holds as protobuf: the bytes that `message_class` would serialise it to.

    - Trace and span ids are hexadecimal, other bytes base64; enum values are numbers; 64-bit integers are numbers or
      strings. An integer may be written as `1.0` or `1e3`, and is then as exact as a double is.
    - Names are lowerCamelCase. All others are ignored, at every depth; so is null, except within an array.
    - Two members of one oneof are refused; of members with one and the same name the last counts.

    Raises `MalformedError` that names the place and what is wrong there, never what the client wrote; `TooLargeError`
    if the protobuf exceeds `max_bytes`, as it may when the JSON does not: a number of one digit becomes eight bytes.
    """
    try:
        text = JsonText(body)
        request = _walk_of(message_class.DESCRIPTOR)(text, max_bytes)
        text.end()
    except JsonError as error:
        raise MalformedError(f"{_shortened(error.path) or 'the body'} {error.what}") from None
    return request


@cache
def _walk_of(descriptor: Descriptor) -> Walk:
    return envelope_walk(descriptor, MessageEncoders())


def _shortened(path: str) -> str:
    """Return a path that names both where the fault is and how it got there."""
    if len(path) <= _LONGEST_PATH:
        return path
    half = _LONGEST_PATH // 2
    return f"{path[:half]}…{path[-half:]}"
