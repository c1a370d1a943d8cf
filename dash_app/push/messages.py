"""What an open page sends over its WebSocket: a question to follow, that it wants nothing more, that it has an update.

Pure; nothing in a message is taken on trust. The other direction is bytes: the number of the question in four,
big-endian, then what `picture.py` made.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, Final

import orjson

_HIGHEST_NUMBER: Final = 2**32 - 1
_WIDEST_PX: Final = 100_000


class MessageError(ValueError):
    """A message that no page sends."""


@dataclass(frozen=True, slots=True)
class Follow:
    """A question of the browser's own `number`, which updates carry, to be answered from now on.

    The page `keeps` what it was sent of the same question before, so that changes are enough.
    """

    number: int
    page: str
    search: str
    width_px: int
    keeps: bool


@dataclass(frozen=True, slots=True)
class Stop:
    """Nothing more, such as while the page is hidden."""


@dataclass(frozen=True, slots=True)
class Done:
    """The latest update is shown; only then another is sent."""


Message = Follow | Stop | Done


def message_of(text: str | bytes) -> Message:
    """Read `{"do": "follow", "number", "page", "search", "width", "keeps"}`, `{"do": "stop"}` or `{"do": "done"}`.

    Raises `MessageError`.
    """
    try:
        given = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise MessageError("not JSON") from error
    if not isinstance(given, dict):
        raise MessageError("not an object")
    match given.get("do"):
        case "follow":
            return Follow(
                _whole(given, "number", _HIGHEST_NUMBER),
                _typed(given, "page", str),
                _typed(given, "search", str),
                _whole(given, "width", _WIDEST_PX),
                _typed(given, "keeps", bool),
            )
        case "stop":
            return Stop()
        case "done":
            return Done()
    raise MessageError("nothing that can be done")


def _typed(given: dict[str, Any], name: str, kind: type) -> Any:
    if type(given.get(name)) is not kind:
        raise MessageError(f"{name} is no {kind.__name__}")
    return given[name]


def _whole(given: dict[str, Any], name: str, highest: int) -> int:
    number: int = _typed(given, name, int)
    if not 0 <= number <= highest:
        raise MessageError(f"{name} is out of range")
    return number


def update(number: int, packed: bytes) -> bytes:
    """Return the message to a page that asked by this number."""
    return struct.pack(">I", number) + packed
