"""Single values of OTLP/JSON: what the proto3 JSON mapping lets each protobuf type be written as.

At the bottom of the decoder; `json_messages` picks one of these readers for each field. They take what the parser made
of a token, and raise `JsonError` with words that follow the field's path.
"""

from __future__ import annotations

import math
import re
import sys
from binascii import a2b_base64, unhexlify
from collections.abc import Callable
from typing import Final

_DECIMAL: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_LONGEST_NUMBER: Final = 64
"""Characters of a number in quotes. Every double can be written in 24."""
_LONGEST_INT: Final = 20
"""Digits of 2^64."""
_LARGEST_DOUBLE: Final = sys.float_info.max

_KINDS: Final = {
    type(None): "null",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "an array",
    dict: "an object",
}

_SPECIAL_DOUBLES: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_URL_SAFE: Final = str.maketrans("-_", "+/")


class JsonError(Exception):
    """A value that breaks a rule; every level that it passes on its way out adds its part to the path."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what
        self._parts: list[str] = []

    def pass_through(self, part: str) -> None:
        self._parts.append(part)

    @property
    def path(self) -> str:
        return "".join(reversed(self._parts)).removeprefix(".")


def wrong_kind(expected: str, value: object) -> JsonError:
    """Return the fault of a value of another JSON type. The value itself is never repeated: it is the client's."""
    return JsonError(f"must be {expected}, not {_KINDS[type(value)]}")


def integers(lowest: int, highest: int) -> Callable[[object], int]:
    """Return the reader of an integer type: numbers, or strings of them, that are whole and within its range."""

    def read(value: object) -> int:
        if type(value) is int:
            number = value
        elif type(value) is str:
            # `int` alone would take underscores, blanks and the digits of every script.
            is_plain = len(value) <= _LONGEST_INT and value.isascii() and value.isdecimal()
            number = int(value) if is_plain else _whole(_quoted_number(value))
        elif type(value) is float:
            number = _whole(value)
        else:
            raise wrong_kind("an integer", value)
        if not lowest <= number <= highest:
            raise JsonError(f"must be from {lowest} to {highest}")
        return number

    return read


read_int32: Final = integers(-(2**31), 2**31 - 1)
read_int64: Final = integers(-(2**63), 2**63 - 1)
read_uint32: Final = integers(0, 2**32 - 1)
read_uint64: Final = integers(0, 2**64 - 1)


def read_enum(value: object) -> int:
    """Return the number of an enum value, known or not; its name is not allowed (OTLP, "JSON Protobuf Encoding")."""
    if type(value) is str:
        raise JsonError("must be the number of an enum value, not a string")
    return read_int32(value)


def read_double(value: object) -> float:
    """Return a double from a number, or from the same or one of the three special values in quotes."""
    if type(value) is str:
        special = _SPECIAL_DOUBLES.get(value)
        if special is not None:
            return special
        number: int | float = _quoted_number(value)
    elif type(value) is float or type(value) is int:
        number = value
    else:
        raise wrong_kind("a number", value)
    # A number that is too large has become infinite if it has an exponent, and is an integer if it has none.
    if not -_LARGEST_DOUBLE <= number <= _LARGEST_DOUBLE:
        raise JsonError("must be within the range of a double")
    return float(number)


def read_bool(value: object) -> bool:
    if value is True or value is False:
        return value
    raise wrong_kind("true or false", value)


def read_string(value: object) -> bytes:
    """Return the UTF-8 of a string, which one with half of a surrogate pair has none of."""
    if type(value) is not str:
        raise wrong_kind("a string", value)
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise JsonError("must not contain half of a surrogate pair") from None


def read_id(value: object) -> bytes:
    """Return a trace id or span id: OTLP writes these as hex, in either case, where other bytes are base64."""
    if type(value) is not str:
        raise wrong_kind("a string", value)
    try:
        return unhexlify(value)
    except ValueError:
        raise JsonError("must be hexadecimal, two digits for each byte") from None


def read_base64(value: object) -> bytes:
    """Return bytes from either alphabet of base64, with or without padding."""
    if type(value) is not str:
        raise wrong_kind("a string", value)
    padded = value + "=" * (-len(value) % 4)
    try:
        return a2b_base64(padded.translate(_URL_SAFE), strict_mode=True)
    except ValueError:
        raise JsonError("must be base64") from None


def _quoted_number(text: str) -> int | float:
    """Return what the same characters would be without their quotes."""
    match = _DECIMAL.fullmatch(text) if len(text) <= _LONGEST_NUMBER else None
    if match is None:
        raise JsonError("must be a decimal number")
    return int(text) if match.lastindex is None else float(text)


def _whole(number: int | float) -> int:
    """Return `number`, which must have no fraction.

    One that is written with a point or an exponent is a double, as JSON's numbers are to most that write them.
    """
    if isinstance(number, float) and not number.is_integer():
        raise JsonError("must be an integer")
    return int(number)
