"""Waiting for what becomes true, with a bound, instead of sleeping and hoping."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any


async def eventually(
    condition: Callable[[], Any | Awaitable[Any]], *, timeout_s: float = 10.0, interval_s: float = 0.02, what: str = ""
) -> Any:
    """Return the condition's first true value; raise `AssertionError` with its last one when the time is over.

    An `AssertionError` or `OSError` raised by the condition counts as not yet.
    """
    deadline = time.monotonic() + timeout_s
    last: Any = None
    while time.monotonic() < deadline:
        try:
            last = condition()
            if inspect.isawaitable(last):
                last = await last
            if last:
                return last
        except (AssertionError, OSError) as error:
            last = error
        await asyncio.sleep(interval_s)
    raise AssertionError(f"not true within {timeout_s} s: {what or condition}; last: {last!r}")
