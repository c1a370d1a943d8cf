"""The refusal of what is given several times where one counts.

In front of every route. Apart from `parameters.py`, which the command line reads without FastAPI.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Final

from fastapi import Request

from query import QuestionError

REPEATABLE: Final = frozenset({"group_by", "span_kind", "where"})


async def refuse_repeats(request: Request) -> None:
    """Raise `QuestionError` if what has one value is given several times, of which only one would count.

    Parameters of the address, and the fields of a body, also those inside others.
    """
    counts = Counter(name for name, _ in request.query_params.multi_items())
    for name, count in counts.items():
        if count > 1 and name not in REPEATABLE:
            raise QuestionError(name, f"given {count} times; once is allowed")
    if request.method in ("POST", "PUT"):
        try:
            json.loads(await request.body(), object_pairs_hook=_each_once)
        except (ValueError, RecursionError):
            return  # no JSON: told by whoever reads it


def _each_once(fields: list[tuple[str, object]]) -> None:
    counts = Counter(name for name, _ in fields)
    for name, count in counts.items():
        if count > 1:
            raise QuestionError(name, f"given {count} times; once is allowed")
