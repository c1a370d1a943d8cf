"""What can happen to any server: it ends without a word, or it holds more and more memory.

The routes belong to the demo alone: they let traffic cause a mishap on purpose, so that what follows is real.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from fastapi import APIRouter, HTTPException, Request
from pydantic import BaseModel, Field

STEP_BYTES = 16 * 1024 * 1024
CRASH_EXIT_CODE = 70


class MemoryUse(BaseModel, frozen=True, extra="forbid"):
    """How much memory the process holds for the next `for_s` seconds; after that it lets go by itself."""

    resident_bytes: int = Field(ge=0, le=2**34, description="resident memory of the whole process")
    for_s: float = Field(default=60.0, gt=0, le=600, description="how long it is held")


class Balloon:
    """Memory that is held and let go."""

    def __init__(self) -> None:
        self._held: list[bytearray] = []
        self._letting_go: asyncio.TimerHandle | None = None

    async def inflate(self, use: MemoryUse) -> None:
        """Hold so much that the process has the given size, for so long."""
        self.let_go()
        missing_bytes = use.resident_bytes - resident_bytes()
        for _ in range(0, missing_bytes, STEP_BYTES):
            self._held.append(bytearray(b"\1") * STEP_BYTES)  # written to, or it would not be resident
            await asyncio.sleep(0)
        self._letting_go = asyncio.get_running_loop().call_later(use.for_s, self.let_go)

    def let_go(self) -> None:
        """Hold nothing."""
        if self._letting_go is not None:
            self._letting_go.cancel()
        self._held.clear()


def resident_bytes() -> int:
    """Return the resident memory of this process, as Linux tells it. Raises `OSError` elsewhere."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


router = APIRouter(prefix="/demo", tags=["demo only"])


@router.put("/memory", responses={501: {}})
async def hold_memory(request: Request, use: MemoryUse) -> MemoryUse:
    """Make the process hold much memory for a while."""
    balloon: Balloon = request.state.balloon
    try:
        await balloon.inflate(use)
    except OSError:
        raise HTTPException(501, "this system does not tell how much memory the process has") from None
    return use


@router.post("/crash")
async def crash() -> None:
    """End the process at once, without an answer and without its last spans."""
    print("fatal: the model's native code gave up", file=sys.stderr, flush=True)
    os._exit(CRASH_EXIT_CODE)
