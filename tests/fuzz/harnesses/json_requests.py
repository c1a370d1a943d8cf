"""The decoder of OTLP/JSON: what it takes is JSON, and is again what its protobuf says when that is written as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random
from typing import Any

from google.protobuf.message import DecodeError, Message

from otlp_receiver.errors import MalformedError, TooLargeError
from otlp_receiver.json_requests import protobuf_of
from otlp_receiver.signals import ROUTES
from tests.fuzz.damage import damaged
from tests.fuzz.shapes import bodies_of, names, texts_of
from tests.support.otlp_json import otlp_json

MAX_BYTES = 20_000
_VALUES = ("null", "true", "{}", "[]", "[{}]", '""', "-0.0", "1e999", '"NaN"', '"\\ud800"', '"18446744073709551615"')


_IS_PROTOBUF = 0x80
"""A flag of the first byte, which otherwise names the signal: the rest of `data` is to be written as JSON first."""


def seeds() -> Iterator[bytes]:
    for number, route in enumerate(ROUTES):
        yield from (bytes([number]) + text for text in texts_of(route))
        yield from (bytes([number | _IS_PROTOBUF]) + body for body in bodies_of(route))


def mutated(data: bytes, random: Random) -> bytes:
    """Return `data` with its request damaged."""
    other = random.choice((bodies_of if data and data[0] & _IS_PROTOBUF else texts_of)(random.choice(ROUTES)))
    return data[:1] + damaged(data[1:], random, other)


def words() -> list[bytes]:
    """Return what is worth putting into a text."""
    members = [f'"{name}":'.encode() for name in names()]
    return members + [value.encode() for value in _VALUES]


def check(data: bytes) -> None:
    """Raise `AssertionError` if the decoder takes what it must not take, or makes of it what was not said."""
    if not data:
        return
    message_class = ROUTES[(data[0] & 0x7F) % len(ROUTES)].request_class
    if data[0] & _IS_PROTOBUF:
        must_survive_as_json(message_class, data[1:])
        return
    try:
        request = protobuf_of(message_class, data[1:], MAX_BYTES)
    except (MalformedError, TooLargeError):
        return
    must_be_json(data[1:])
    must_be_the_same_again(message_class, request)


def must_survive_as_json(message_class: type[Message], body: bytes) -> None:
    try:
        message = message_class.FromString(body)
    except DecodeError:
        return
    message.DiscardUnknownFields()
    text = json.dumps(otlp_json(message))
    again = message_class.FromString(protobuf_of(message_class, text.encode()))
    # Compared as text, in which there is only one NaN.
    assert json.dumps(otlp_json(again)) == text, "not the same after it was written as JSON"


def must_be_json(text: bytes) -> None:
    try:
        json.loads(text.decode(), parse_constant=_refuse)
    except RecursionError:
        pass  # read as a whole it is nested deeper than piece by piece


def must_be_the_same_again(message_class: type[Message], request: bytes) -> None:
    message = message_class.FromString(request)
    assert message.SerializeToString(deterministic=True) == request, "not as the generated class writes it"
    again = json.dumps(otlp_json(message)).encode()
    assert protobuf_of(message_class, again) == request, "not the same after it was written as JSON"


def _refuse(constant: str) -> Any:
    raise AssertionError(f"{constant} is no JSON")
