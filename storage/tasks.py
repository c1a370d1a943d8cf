"""Ending background tasks for certain.

Used by the parts of the store that run one: the live feed's two ends and retention.
"""

from __future__ import annotations

import asyncio
from typing import Any

_ASK_AGAIN_S = 0.1


async def end_task(task: asyncio.Task[Any]) -> None:
    """Cancel `task` and return when it has ended.

    Asks more than once: on Python 3.11 `asyncio.wait_for`, which redis-py sends through, loses a cancellation that
    arrives in the same moment as its result (CPython gh-86296).
    """
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=_ASK_AGAIN_S)
