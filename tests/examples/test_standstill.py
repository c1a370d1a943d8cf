"""A process is made to stand still, and goes on afterwards whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from examples.traffic.generator import run_traffic
from examples.traffic.incidents import chosen
from examples.traffic.standstill import Stoppable, can_be_written, standing_still
from tests.support.waiting import eventually

WRITER = """
import sqlite3, sys, time
with sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30) as connection:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE beats (at REAL)")
    while True:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO beats VALUES (0)")
        time.sleep(0.02)
        connection.execute("COMMIT")
        time.sleep(0.001)
"""


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Stoppable]:
    """A process that nearly always holds the write lock of its file."""
    database = tmp_path / "a file.db"
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(database)])
    yield Stoppable(process.pid, database)
    process.kill()
    process.wait()


def beats(writer: Stoppable) -> int:
    assert writer.database is not None
    try:
        with closing(sqlite3.connect(writer.database)) as connection:
            return int(connection.execute("SELECT count(*) FROM beats").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


async def test_others_can_write_while_a_process_stands_still(writer: Stoppable) -> None:
    """Though it writes all the time: it is stopped between two of its writes, and goes on when the block is left."""
    await eventually(lambda: beats(writer) > 3)
    assert writer.database is not None
    stopped = standing_still(writer)
    await stopped.__aenter__()
    assert psutil.Process(writer.pid).status() == psutil.STATUS_STOPPED
    assert can_be_written(writer.database)
    count = beats(writer)
    assert not await stopped.__aexit__(RuntimeError, RuntimeError("meanwhile"), None)
    await eventually(lambda: beats(writer) > count)


async def test_modelwatch_is_behind_when_the_other_incidents_are_over(writer: Stoppable) -> None:
    """And not at all where no process of its own takes and stores data, which is said."""
    said: list[str] = []
    incidents = chosen(["behind=1", "slow=1"])
    assert [incident.service for incident in incidents] == ["ModelWatch", "digits-reader"]

    async def run(processor: Stoppable | None) -> None:
        traffic = run_traffic(
            {}, total_per_s=1, announce=said.append, counts={}, at_once=incidents, processor=processor
        )
        await traffic

    await eventually(lambda: beats(writer) > 3)
    async with asyncio.timeout(60):
        await run(writer)
        await run(None)
    assert ["incident: ModelWatch behind for 1 s" in said[0], "over: ModelWatch recovers" in said[1]] == [True, True]
    assert "left out: ModelWatch behind" in said[2]
    assert psutil.Process(writer.pid).status() != psutil.STATUS_STOPPED
