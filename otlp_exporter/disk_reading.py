"""Reading a body again when the disk, or the number of open files, does not allow it now: only what is gone is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from telemetry import Batch

_log = structlog.get_logger(__name__)

_PAUSE_S: Final = 1.0


async def read_patiently(read: Callable[[], Awaitable[Batch | None]]) -> Batch | None:
    """Return what `read` does, however often it raises `OSError` before; the first one is logged."""
    is_told = False
    while True:
        try:
            return await read()
        except OSError as error:
            if not is_told:
                _log.warning("cannot read now what is to be forwarded", reason=str(error))
            is_told = True
            await asyncio.sleep(_PAUSE_S)
