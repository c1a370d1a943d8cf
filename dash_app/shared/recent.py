"""An answer that many pages want is asked for once and kept for a moment.

Used for what the bar and the charts of every page tell of alerts.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from dash_app.shared.joint_tasks import JointTasks

_Value = TypeVar("_Value")


class Recent(Generic[_Value]):
    """What `work` returned at most `for_s` seconds ago."""

    def __init__(
        self,
        work: Callable[[], Awaitable[_Value]],
        for_s: float,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._work = work
        self._for_s = for_s
        self._monotonic_s = monotonic_s
        self._tasks: JointTasks[None, _Value] = JointTasks(lambda _: self._renew())
        self._kept: tuple[float, _Value] | None = None

    async def get(self) -> _Value:
        """Return the answer, or raise what `work` raises."""
        if self._kept is not None and self._monotonic_s() - self._kept[0] < self._for_s:
            return self._kept[1]
        return await self._tasks.of(None)

    async def _renew(self) -> _Value:
        asked_s = self._monotonic_s()
        value = await self._work()
        self._kept = (asked_s, value)
        return value
