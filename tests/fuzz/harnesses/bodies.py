"""The whole way from a request's body to a batch, for each signal and encoding, against the plain reference."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Final

from otlp_receiver import inspection
from otlp_receiver.bodies import Form, Opened, Opener
from otlp_receiver.decompression import DECOMPRESSORS
from otlp_receiver.errors import MalformedError, TooLargeError
from otlp_receiver.json_requests import protobuf_of
from otlp_receiver.signals import METRICS, ROUTES, SignalRoute
from tests.fuzz.damage import damaged
from tests.fuzz.harnesses.decompression import CODERS
from tests.fuzz.reference import are_same, judged
from tests.fuzz.shapes import bodies_of, texts_of

MAX_BYTES: Final = 20_000
NOW_NS: Final = 1_760_000_000_000_000_000

_CODINGS: Final = ("", "gzip", "deflate", "zstd")
_JSON, _COMPRESSED = 0x40, 0x80
"""Flags of the first byte: the body is JSON; the rest of `data` is compressed already."""

inspection.PIECE_BYTES = 300  # type: ignore[misc]  # so that small requests are taken apart as large ones are
Refusal = type[MalformedError] | type[TooLargeError]
_OPENERS: Final = {route.signal: Opener(route, MAX_BYTES) for route in ROUTES}


def seeds() -> Iterator[bytes]:
    for number, route in enumerate(ROUTES):
        for at, coding in enumerate(_CODINGS):
            head = number << 2 | at
            for body in bodies_of(route):
                yield bytes([head]) + body
            for text in texts_of(route):
                yield bytes([head | _JSON]) + text
            if coding:
                yield bytes([head | _COMPRESSED]) + CODERS[coding](bodies_of(route)[0])


def mutated(data: bytes, random: Random) -> bytes:
    """Return `data` with what is in the body damaged."""
    route = ROUTES[(data[0] >> 2 & 3) % len(ROUTES)] if data else ROUTES[0]
    return data[:1] + damaged(data[1:], random, random.choice(bodies_of(route)))


def check(data: bytes) -> None:
    """Raise `AssertionError` unless what is opened is what was sent, counted right, and nothing else is opened."""
    if not data:
        return
    route = ROUTES[(data[0] >> 2 & 3) % len(ROUTES)]
    form = Form(_CODINGS[data[0] & 3], bool(data[0] & _JSON))
    body = data[1:]
    if form.coding and not data[0] & _COMPRESSED:
        body = CODERS[form.coding](body)
    opener = _OPENERS[route.signal]
    opened, quickly = _outcome(opener.open, body, form), _outcome(opener.open_quickly, body, form)
    request = _request(route, body, form)
    expected = None if request is None else judged(route, request)
    if opened is TooLargeError and route is METRICS:
        return  # taken apart as if it were large, and its data is in several parts
    assert quickly is None or quickly == opened, "something else when it is opened quickly"
    if not isinstance(opened, Opened):
        assert expected is None, "refused although it is valid"
        return
    assert expected is not None, "taken although it is malformed"
    assert opened.batch.item_count == expected.good
    assert (opened.rejected.item_count if opened.rejected else 0) == expected.bad
    assert opened.rejected is None or len(opened.rejected.message) < 1000
    assert are_same(route, opened.batch.body, expected.kept)
    if form == Form() and not expected.bad:
        assert opened.batch.body is body, "copied although nothing was taken out"


def _outcome(open_: Callable[[bytes, Form, int], Opened | None], body: bytes, form: Form) -> Opened | Refusal | None:
    try:
        return open_(body, form, NOW_NS)
    except (MalformedError, TooLargeError) as error:
        assert len(str(error)) < 1000  # noqa: PT017  # whatever was sent, the answer is short
        return type(error)


def _request(route: SignalRoute, body: bytes, form: Form) -> bytes | None:
    """Return the request as protobuf, or `None` if it cannot be had. Decoders have harnesses of their own."""
    try:
        plain = DECOMPRESSORS[form.coding](body, MAX_BYTES) if form.coding else body
        return protobuf_of(route.request_class, plain, MAX_BYTES) if form.is_json else plain
    except (MalformedError, TooLargeError):
        return None
