"""Many writers of the same rows, in whatever order each was told of them, wait for each other and never in a circle."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import psycopg
import pytest

from storage.component import build_postgres_history, build_upkeep
from storage.ports import SeriesFilter
from storage.settings import StorageSettings
from telemetry import Counters
from tests.support.red_points import random_points, totals_of
from tests.support.waiting import eventually

WRITERS, COMMITS = 3, 12


@pytest.fixture
def database_url(postgres: Any) -> str:
    url: str = postgres.fresh_database()
    return url


async def test_writers_in_opposite_orders_make_no_deadlock(database_url: str) -> None:
    """F17: the same 300 rows forwards and backwards at once, beside roll-ups: PostgreSQL counts no deadlock."""
    histories = [build_postgres_history(StorageSettings(write_threads=2), database_url) for _ in range(WRITERS)]
    for history in histories:
        await history.start()
    points = random_points(17, 300, series=20)
    upkeep = build_upkeep(StorageSettings(rollup_grace_s=0), histories[0], Counters())

    async def write(number: int) -> None:
        for commit in range(COMMITS):
            batch_id = number.to_bytes(8, "big") + commit.to_bytes(8, "big")
            await histories[number % WRITERS].commit([batch_id], points[:: 1 if number % 2 else -1])

    async def roll_up() -> None:
        for _ in range(COMMITS):
            await upkeep.roll_up()
            await asyncio.sleep(0.01)

    await asyncio.gather(*(write(number) for number in range(2 * WRITERS)), roll_up())
    found = totals_of(await histories[0].read(0, 2**40, SeriesFilter()))
    for history in histories:
        await history.stop()
    assert found == totals_of(points * (2 * WRITERS * COMMITS), 10)
    # A session tells what it met when it ends, those of the test's own deadlock later than those of the writers.
    await asyncio.to_thread(deadlock, database_url)
    await eventually(lambda: deadlocks(database_url) >= 1)
    assert deadlocks(database_url) == 1


def deadlocks(database_url: str) -> int:
    with psycopg.connect(database_url.replace("+psycopg", "")) as connection:
        row = connection.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").fetchone()
        assert row is not None
        return int(row[0])


def deadlock(database_url: str) -> None:
    """Let two sessions lock two rows in opposite orders, to see that it would be counted."""
    dsn = database_url.replace("+psycopg", "")
    both_hold_one = threading.Barrier(2)

    def update(first: int, second: int) -> None:
        with psycopg.connect(dsn) as connection:
            try:
                connection.execute("UPDATE tiers SET width_s = width_s WHERE rank = %s", [first])
                both_hold_one.wait(10)
                connection.execute("UPDATE tiers SET width_s = width_s WHERE rank = %s", [second])
            except psycopg.errors.DeadlockDetected:
                connection.rollback()

    threads = [threading.Thread(target=update, args=ranks) for ranks in ((0, 1), (1, 0))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
