"""One computation for all who ask the same in the same moment.

In front of `query/component.py`'s questions: fifty open pages cost little more than one.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from typing import Any, Final, Generic, TypeVar

_LIMIT: Final = 64

_T = TypeVar("_T")

Kept = tuple[_T, Callable[[], bool]]
"""An answer, and whether it still holds."""


class SharedAnswers(Generic[_T]):
    """Answers by question: those under way are waited for together, those that still hold are given again."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, Kept[_T]] = OrderedDict()
        self._under_way: dict[Hashable, asyncio.Task[_T]] = {}

    async def get(self, question: Hashable, answer: Callable[[], Coroutine[Any, Any, Kept[_T]]]) -> _T:
        """Return the answer to `question`, by calling `answer` if need be. Its errors reach everyone who waits."""
        kept = self._kept.get(question)
        if kept is not None and kept[1]():
            return kept[0]
        task = self._under_way.get(question)
        if task is None:
            task = asyncio.create_task(self._compute(question, answer()))
            self._under_way[question] = task
            task.add_done_callback(_retrieve_error)
        # One page that goes away must not take the answer from the others.
        return await asyncio.shield(task)

    async def _compute(self, question: Hashable, answer: Awaitable[Kept[_T]]) -> _T:
        try:
            kept = await answer
        finally:
            del self._under_way[question]
        self._kept[question] = kept
        self._kept.move_to_end(question)
        if len(self._kept) > _LIMIT:
            self._kept.popitem(last=False)
        return kept[0]


def _retrieve_error(task: asyncio.Task[Any]) -> None:
    """Keep asyncio from reporting an error as never retrieved when everyone who waited has gone away."""
    if not task.cancelled():
        task.exception()
