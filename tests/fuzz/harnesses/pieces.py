"""Requests taken apart: piece by piece, whatever the size of the pieces, a request is what it is as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from otlp_receiver.errors import MalformedError, TooLargeError
from otlp_receiver.inspection import Inspection
from otlp_receiver.pieces import Sieve
from otlp_receiver.signals import METRICS, ROUTES
from tests.fuzz.damage import damaged
from tests.fuzz.reference import are_same, judged
from tests.fuzz.shapes import bodies_of

HEAD_BYTES = 3
"""The signal, and the size of the pieces in two bytes."""

_INSPECTIONS = {route.signal: Inspection(route) for route in ROUTES}


def seeds() -> Iterator[bytes]:
    for number, route in enumerate(ROUTES):
        for body in bodies_of(route):
            yield bytes([number, 0, 20]) + body
            yield bytes([number, 1, 0]) + body


def mutated(data: bytes, random: Random) -> bytes:
    """Return `data` with its request damaged."""
    other = random.choice(bodies_of(ROUTES[data[0] % len(ROUTES)] if data else ROUTES[0]))
    return data[:HEAD_BYTES].ljust(HEAD_BYTES, b"\1") + damaged(data[HEAD_BYTES:], random, other)


def check(data: bytes) -> None:
    """Raise `AssertionError` if the pieces add up to anything else than the whole."""
    if len(data) < HEAD_BYTES:
        return
    route = ROUTES[data[0] % len(ROUTES)]
    piece_bytes = 1 + int.from_bytes(data[1:HEAD_BYTES], "big") % 4096
    body = data[HEAD_BYTES:]
    sieve = Sieve(route.levels, piece_bytes, _INSPECTIONS[route.signal].sift)
    expected = judged(route, body)
    kept: bytes | None
    try:
        kept = sieve.kept(body)
    except MalformedError:
        kept = None
    except TooLargeError:
        if route is METRICS:
            return  # its data is in several parts
        raise
    if kept is None:
        assert expected is None, "refused although it is valid"
        return
    assert expected is not None, "taken although it is malformed"
    assert (sieve.sifted.good, sieve.sifted.bad.total()) == (expected.good, expected.bad)
    assert are_same(route, kept, expected.kept)
    assert kept is body or expected.bad, "copied although nothing was taken out"
