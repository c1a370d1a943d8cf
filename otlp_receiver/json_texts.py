"""The text of a JSON request, read forward value by value.

Beneath the decoder of OTLP/JSON: `json_envelopes` walks the lists that a request consists of with it, so that no more
than one of their items exists as Python objects: those of a whole request take ten to forty times the room of its text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from otlp_receiver.errors import TooLargeError
from otlp_receiver.json_values import JsonError
from otlp_receiver.pieces import MAX_FIELDS

LONGEST_VALUE_BYTES: Final = 8 * 1024 * 1024
"""One item, or one value that is ignored, may take this much text. The worst of 8 MiB become 250 MiB of objects."""

_TOO_LONG: Final = f"has a value of more than {LONGEST_VALUE_BYTES} bytes"
_WINDOW_BYTES: Final = 256 * 1024
_BLANKS: Final = re.compile(r"[ \t\n\r]+")
_LONGEST_CUT: Final = 3
"""The end of the window may cut a number after its point or its "e+", and it is read as one that ends before them."""


class JsonText:
    """A JSON text and the position up to which it has been read; faults name its byte.

    The parser is the standard library's, made strict: NaN and Infinity only in quotes. Integers are exact; of members
    with the same name the last counts; a byte order mark is a fault, as RFC 8259, section 8.1, allows.

    The parser needs `str`, which may take four times the room of its UTF-8, so a window moves over the bytes.
    """

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._decoder = json.JSONDecoder(parse_constant=_refuse_constant)
        self._window = ""
        self._window_start = 0
        self._at = 0
        self._room = MAX_FIELDS
        self._move(_WINDOW_BYTES)

    def peek(self) -> str:
        """Return the first character of what is next, or nothing at the end."""
        while True:
            next_one = self._window[self._at : self._at + 1]
            if next_one > " ":
                return next_one
            blanks = _BLANKS.match(self._window, self._at)
            if blanks is not None:
                self._at = blanks.end()
            elif next_one or self._is_last:
                return next_one
            else:
                self._move(_WINDOW_BYTES)

    def value(self) -> Any:
        """Read a whole value."""
        self.peek()
        for wider in (_WINDOW_BYTES, LONGEST_VALUE_BYTES):
            try:
                return self._value()
            except JsonError:
                if self._is_last:
                    raise
                # The window may have cut the value off.
                self._move(wider)
        return self._value()

    def members(self) -> Iterator[str]:
        """Read an object: yield each name, after which its value has to be read."""
        self._at += 1
        if self.peek() == "}":
            self._at += 1
            return
        has_more = True
        while has_more:
            if self.peek() != '"':
                raise self._not_json("Expecting property name enclosed in double quotes", self._at)
            name = self.value()
            if self.peek() != ":":
                raise self._not_json("Expecting ':' delimiter", self._at)
            self._at += 1
            yield name
            has_more = self._has_more("}")

    def elements(self) -> Iterator[None]:
        """Read an array: yield before each of its elements, which then has to be read."""
        self._at += 1
        if self.peek() == "]":
            self._at += 1
            return
        yield
        while self._has_more("]"):
            yield

    def end(self) -> None:
        """Require that nothing is left."""
        if self.peek():
            raise self._not_json("Extra data", self._at)

    def _value(self) -> Any:
        try:
            value, end = self._decoder.raw_decode(self._window, self._at)
        except json.JSONDecodeError as error:
            fault = self._not_json(error.msg.removesuffix(" at"), error.pos)
            raise fault if self._is_last else JsonError(f"{fault.what}, or {_TOO_LONG}") from None
        except RecursionError:
            raise JsonError("is nested too deeply") from None
        except ValueError:
            # An integer of more than the thousands of digits that Python converts.
            raise JsonError("contains a number that is too long") from None
        if end + _LONGEST_CUT > len(self._window) and not self._is_last:
            raise JsonError(_TOO_LONG)
        self._at = end
        return value

    def _has_more(self, closing: str) -> bool:
        # Each is a microsecond or two of work, and takes no more than three bytes.
        self._room -= 1
        if self._room < 0:
            raise TooLargeError(f"the request is made of more than {MAX_FIELDS} parts: send it in several")
        next_one = self.peek()
        if next_one not in (",", closing):
            raise self._not_json("Expecting ',' delimiter", self._at)
        self._at += 1
        return next_one == ","

    def _move(self, size_bytes: int) -> None:
        """Let the window begin at the position."""
        start = self._byte(self._at)
        end = start + size_bytes
        if end < len(self._body):
            # Not within a character: those of UTF-8 have at most three bytes after their first.
            end = next((near for near in range(end, end - 4, -1) if self._body[near] & 0xC0 != 0x80), end)
        try:
            self._window = self._body[start:end].decode()
        except UnicodeDecodeError as error:
            raise JsonError(f"is not valid UTF-8 at byte {start + error.start}") from None
        self._window_start = start
        self._is_last = end >= len(self._body)
        self._at = 0

    def _byte(self, at: int) -> int:
        return self._window_start + len(self._window[:at].encode())

    def _not_json(self, what: str, at: int) -> JsonError:
        return JsonError(f"is not valid JSON: {what} at byte {self._byte(at)}")


def _refuse_constant(constant: str) -> None:
    raise JsonError(f"is not valid JSON: {constant} must be in quotes")
