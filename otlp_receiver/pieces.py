"""Takes a large request apart, lets each piece be inspected, and puts together what is good of it.

Used by the inspection in a worker thread: protobuf parses 64 MiB in a tenth of a second or, if somebody is out to make
it slow, in several, during which no other thread runs, the event loop's neither. Between pieces it does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from otlp_receiver.errors import TooLargeError
from otlp_receiver.rules import Sifted
from otlp_receiver.wire import VARINT, Field, field_at, header, varint_at

Inspect = Callable[[bytes], tuple[Sifted, bytes]]
"""Returns what is in a piece, which is a whole request, and the piece without its invalid items."""


class Level(NamedTuple):
    """What is known of the messages at one depth: the fields to be opened.

    `is_oneof`: of these a message has one, in one part. `context`: the number of a field that all pieces of a message
    need, if the message itself has one of the numbers in `context_of`.
    """

    opened: frozenset[int] = frozenset()
    is_oneof: bool = False
    context: int = 0
    context_of: frozenset[int] = frozenset()


MAX_FIELDS: Final = 5_000_000
"""Of the messages that are taken apart, which is seconds of work. Real items are larger than 64 MiB divided by this."""


class Sieve:
    """One way through one request."""

    def __init__(self, levels: Sequence[Level], piece_bytes: int, inspect: Inspect) -> None:
        self._levels = levels
        self._piece_bytes = piece_bytes
        self._inspect = inspect
        self._room = MAX_FIELDS
        self.sifted = Sifted()

    def kept(self, body: bytes) -> bytes:
        """Return `body`, without its invalid items if there are any; `sifted` then tells of all items.

        Raises what `inspect` raises, or `TooLargeError` for more than `MAX_FIELDS` and for a large metric whose data is
        in several parts, which no generated class writes. What is inspected holds every field once, each piece around
        `piece_bytes` where that is possible: a single item or resource is never cut. Each piece is nested as deep as in
        `body`; the pieces are well-formed protobuf if and only if `body` is. What cannot be followed is inspected
        unchanged, for the parser to judge.
        """
        parts = list(self._parts(memoryview(body), ()))
        return b"".join(parts) if self.sifted.bad else body

    def _parts(self, view: memoryview, above: tuple[int, ...]) -> Iterator[bytes | memoryview]:
        """Yield, part by part, what is kept of a message; `above` are the field numbers that lead down to it."""
        level = self._levels[len(above)] if len(above) < len(self._levels) else Level()
        context = self._last(view, level.context) if above and above[-1] in level.context_of else b""
        start = position = opened = 0
        while (field := self._field(view, position)) is not None:
            number, payload, end = field
            opened += number in level.opened
            if level.is_oneof and opened > 1:
                # They merge, or the last counts: what holds for one cannot be said of a piece of another.
                raise TooLargeError(f"the data of a metric of more than {self._piece_bytes} bytes is in several parts")
            if payload is not None and number in level.opened and end - position > self._piece_bytes:
                yield self._part(view[start:position], above, context)
                inner = list(self._parts(view[payload:end], (*above, number)))
                yield header(number, sum(map(len, inner)))
                yield from inner
                start = end
            elif end - start >= self._piece_bytes:
                yield self._part(view[start:end], above, context)
                start = end
            position = end
        # What cannot be followed may break off within a field, which nothing that comes after it may complete.
        yield self._part(view[start:], above, context, is_last=True)

    def _part(
        self, fields: memoryview, above: tuple[int, ...], context: bytes, *, is_last: bool = False
    ) -> bytes | memoryview:
        """Inspect some fields of a message and return what is kept; of the last ones, their own context counts."""
        if not fields:
            return b""
        whole = context + bytes(fields) if is_last else bytes(fields) + context
        sifted, kept = self._inspect(_nested(whole, above))
        self.sifted.add(sifted)
        return _unnested(kept, len(above)) if sifted.bad else fields

    def _last(self, view: memoryview, wanted: int) -> bytes:
        """Return the last varint field with this number, which is the one that counts, or nothing."""
        found = b""
        position = 0
        while (field := self._field(view, position)) is not None:
            number, _, end = field
            if number == wanted and view[position] & 7 == VARINT:
                found = bytes(view[position:end])
            position = end
        return found

    def _field(self, view: memoryview, position: int) -> Field | None:
        self._room -= 1
        if self._room < 0:
            raise TooLargeError(f"the request is made of more than {MAX_FIELDS} parts: send it in several")
        return field_at(view, position) if position < len(view) else None


def _nested(fields: bytes, above: tuple[int, ...]) -> bytes:
    """Return the fields of a message inside the messages that lead down to it."""
    nested = fields
    for number in reversed(above):
        nested = header(number, len(nested)) + nested
    return nested


def _unnested(request: bytes, depth: int) -> memoryview:
    """Return the fields that `_nested` was given, from a request that holds nothing else."""
    view = memoryview(request)
    for _ in range(depth):
        _, payload = varint_at(view, varint_at(view, 0)[1])
        view = view[payload:]
    return view


_RESOURCES: Final = Level(frozenset({1}))
_SCOPES: Final = Level(frozenset({2}))

ITEMS_IN_SCOPES: Final = (_RESOURCES, _SCOPES)
"""Of traces and logs: `resource_spans` and `scope_spans`, `resource_logs` and `scope_logs`."""

POINTS_IN_METRICS: Final = (
    _RESOURCES,
    _SCOPES,
    Level(frozenset({2})),
    Level(frozenset({5, 7, 9, 10, 11}), is_oneof=True),
    Level(context=2, context_of=frozenset({7, 9, 10})),
)
"""Of metrics: down to the data of one metric, whose points are judged by its `aggregation_temporality` too, if it is a
sum, a histogram or an exponential histogram."""
