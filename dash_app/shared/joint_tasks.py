"""Work that many wait for together: equal questions that come while one is being answered share its answer.

Used by each page, so that slow answers never pile up, however many look at the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")


class JointTasks(Generic[_Key, _Value]):
    """Runs `work` for each key once at a time."""

    def __init__(self, work: Callable[[_Key], Awaitable[_Value]]) -> None:
        self._work = work
        self._under_way: dict[_Key, asyncio.Task[_Value]] = {}

    async def of(self, key: _Key) -> _Value:
        """Return what `work` returns for `key`, or raise what it raises."""
        task = self._under_way.get(key)
        if task is None:
            task = asyncio.create_task(self._run(key), name=f"answer for {key!r}"[:80])
            self._under_way[key] = task
            task.add_done_callback(lambda done: self._finish(key, done))
        # One page that goes away must not take the answer from the others.
        return await asyncio.shield(task)

    async def _run(self, key: _Key) -> _Value:
        return await self._work(key)

    def _finish(self, key: _Key, done: asyncio.Task[_Value]) -> None:
        del self._under_way[key]
        if not done.cancelled():
            done.exception()
