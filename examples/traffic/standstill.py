"""A process that stands still for a while, as one does whose machine is out of memory or whose disk hangs.

Done by `generator` to the process of ModelWatch that takes and stores data.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass
from pathlib import Path

BETWEEN_LOOKS_S = 0.05
OTHERS_WRITE_FOR_S = 0.5


@dataclass(frozen=True)
class Stoppable:
    """A process, and the SQLite file that it writes to, if it does."""

    pid: int
    database: Path | None = None


@asynccontextmanager
async def standing_still(process: Stoppable) -> AsyncIterator[None]:
    """Stop the process until the block ends. Raises `ProcessLookupError` if there is none.

    It is stopped between two writes: within one, SQLite would keep everybody else from writing as well.
    """
    try:
        while True:
            os.kill(process.pid, signal.SIGSTOP)
            await asyncio.sleep(BETWEEN_LOOKS_S)
            if process.database is None or can_be_written(process.database):
                break
            os.kill(process.pid, signal.SIGCONT)
            await asyncio.sleep(BETWEEN_LOOKS_S)
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGCONT)


def can_be_written(database: Path) -> bool:
    """Tell whether nobody holds the write lock of a SQLite file, or not for long."""
    uri = f"{database.absolute().as_uri()}?mode=rw"
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=OTHERS_WRITE_FOR_S, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
    except sqlite3.OperationalError:
        return False
    return True
