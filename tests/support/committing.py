"""A process that commits to a history as a processor would: `python -m tests.support.committing KIND URL SEED COMMITS`.

Each commit takes the next points of `random_points(SEED, ...)`. Prints one line per refused attempt, then tries again.
"""

from __future__ import annotations

import asyncio
import sys

from sqlalchemy import make_url

from storage.dialects import POSTGRES, SQLITE
from storage.history import SqlHistory
from storage.ports import StorageUnavailableError
from storage.settings import StorageSettings
from tests.support.red_points import random_points

POINTS_PER_COMMIT = 20


async def commit_all(kind: str, url: str, seed: int, commits: int) -> None:
    """Commit the points of this seed, each commit until it succeeds."""
    history = SqlHistory(SQLITE if kind == "sqlite" else POSTGRES, make_url(url), StorageSettings())
    await history.start()
    points = random_points(seed, commits * POINTS_PER_COMMIT)
    for number in range(commits):
        batch_id = seed.to_bytes(8, "big") + number.to_bytes(8, "big")
        part = points[number * POINTS_PER_COMMIT : (number + 1) * POINTS_PER_COMMIT]
        while True:
            try:
                await history.commit([batch_id], part)
                break
            except StorageUnavailableError as error:
                print("refused:", error)
    await history.stop()


if __name__ == "__main__":
    asyncio.run(commit_all(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
