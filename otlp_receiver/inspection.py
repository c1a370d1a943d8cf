"""Looks into a request: is it valid, how many items does it hold, which of them are invalid by themselves.

Done by the intake for every request before anything is handed on. Most requests are found valid without their items
being looked at one by one; those that are not are sifted.
"""

from __future__ import annotations

from typing import Final

from google.protobuf.message import DecodeError

from otlp_receiver.errors import MalformedError
from otlp_receiver.pieces import Sieve
from otlp_receiver.rules import Sifted
from otlp_receiver.schemas import merging
from otlp_receiver.signals import SignalRoute

PIECE_BYTES: Final = 256 * 1024
"""Parsing, inspecting and hashing this much takes about 1 ms."""


class Inspection:
    """What it takes to look into the requests of one signal. Safe to be used by several threads."""

    def __init__(self, route: SignalRoute) -> None:
        self._route = route
        self._rules = route.rules()
        self._validated_class = merging(route.request_class)

    def count_valid(self, body: bytes) -> int | None:
        """Return the number of items if all are valid and that is quickly said, or else `None`.

        Raises `MalformedError` if the bytes are not a request of this signal: all is checked that protobuf can say of
        bytes, the UTF-8 of all strings included.
        """
        try:
            self._validated_class.FromString(body)
        except DecodeError as error:
            raise MalformedError(f"the body is not a valid {self._validated_class.DESCRIPTOR.name}: {error}") from error
        return self._rules.count_valid(body)

    def sift(self, body: bytes) -> tuple[Sifted, bytes]:
        """Return what is in a request, and the request without its invalid items: itself, if there are none.

        Raises `MalformedError` like `count_valid`. Takes its time, but lets other threads have theirs.
        """
        if len(body) <= PIECE_BYTES:
            return self._sift_piece(body)
        sieve = Sieve(self._route.levels, PIECE_BYTES, self._sift_piece)
        kept = sieve.kept(body)
        return sieve.sifted, kept

    def _sift_piece(self, piece: bytes) -> tuple[Sifted, bytes]:
        count = self.count_valid(piece)
        if count is not None:
            return Sifted(count), piece
        request = self._rules.sifted_class.FromString(piece)
        sifted = self._rules.sift(request)
        return sifted, request.SerializeToString() if sifted.bad else piece
