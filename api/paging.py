"""Lists a page at a time: `limit`, `cursor` and `next_cursor`, in the same form on every route that has a list.

A cursor names the item after which its page begins, and the time that the first page was about, so that those after it
are about the same. Items keep their order by a key of their own: what comes and goes between two pages moves no others.
"""

from __future__ import annotations

import base64
import hashlib
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import orjson
from pydantic import BaseModel, Field

from query import QuestionError

_LONGEST_CURSOR: Final = 32_768
_LATEST_S: Final = 253_402_300_799

Key = tuple[str | int | float, ...]
Item = TypeVar("Item")


class PageParameters(BaseModel, extra="forbid"):
    """The parameters of every list that may have several pages."""

    limit: int = Field(1_000, ge=1, le=5_000, description="Most items of one page.", examples=[100])
    cursor: str | None = Field(
        None, description="`next_cursor` of the page before, with the other parameters as they were."
    )


class Place(NamedTuple):
    """Where a page begins: after the item with this `key`, in the list about these `times`."""

    times: tuple[int, ...]
    key: Key


def place_of(parameters: PageParameters, times: int = 0) -> Place | None:
    """Return where the page begins that is asked for, `None` for the first one.

    `times` is how many whole seconds go with it. Raises `QuestionError` for what is no cursor of this list.
    """
    if parameters.cursor is None:
        return None
    try:
        text = parameters.cursor.encode("ascii")
        if len(text) > _LONGEST_CURSOR:
            raise ValueError
        digest, found, key = orjson.loads(base64.b64decode(text, b"-_", validate=True))
        is_whole = all(type(one) is int and 0 <= one <= _LATEST_S for one in found)
        is_key = bool(key) and all(isinstance(one, str | int | float) for one in key)
        if len(found) != times or not is_whole or not is_key:
            raise ValueError
    except (ValueError, TypeError):
        raise QuestionError("cursor", "it is not the `next_cursor` of an answer") from None
    if digest != _digest(parameters):
        raise QuestionError("cursor", "it is of another question: ask with all other parameters as they were")
    return Place(tuple(found), tuple(key))


def page_of(
    items: Sequence[Item],
    key: Callable[[Item], Key],
    parameters: PageParameters,
    place: Place | None,
    times: Sequence[int] = (),
) -> tuple[list[Item], str | None]:
    """Return the items of the page in the order of their keys, and the cursor of the next page, if there is one.

    Keys are of one shape and differ. Raises `QuestionError` for a place in some other list.
    """
    ordered = sorted(items, key=key)
    try:
        start = 0 if place is None else bisect_right(ordered, place.key, key=key)
    except TypeError:
        raise QuestionError("cursor", "it is not the `next_cursor` of an answer") from None
    end = start + parameters.limit
    shown = ordered[start:end]
    return shown, _cursor(parameters, times, key(shown[-1])) if end < len(ordered) else None


def _cursor(parameters: PageParameters, times: Sequence[int], key: Key) -> str:
    content: list[Any] = [_digest(parameters), list(times), list(key)]
    return base64.urlsafe_b64encode(orjson.dumps(content)).decode("ascii")


def _digest(parameters: PageParameters) -> str:
    question = parameters.model_dump_json(exclude={"limit", "cursor"})
    return hashlib.sha256(question.encode()).hexdigest()[:12]
