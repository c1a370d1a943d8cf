"""What it costs to keep and to read: commits on SQLite and PostgreSQL, a large read, the live window's memory.

Commits go to the current bucket of the same series over and over, as a processor's do: every row is read, merged and
written back, with little and with much history beside it. PostgreSQL runs with fsync on, as it comes; its rows are left
out where it is not installed.
"""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final

from sqlalchemy import Connection

from storage.component import build_postgres_history, build_sqlite_history
from storage.history import SqlHistory
from storage.live_codec import decode_points, encode_points
from storage.live_window import LiveWindow
from storage.ports import SeriesFilter
from storage.settings import StorageSettings
from telemetry import ExponentialHistogram, RedPoint, SeriesKey
from tests.support import servers

START_S: Final = 1_760_000_000
COMMITS: Final = 30
READ_ROWS: Final = 100_000
TIMES_MORE: Final = 10
SERIES: Final = 200
WINDOW_S: Final = 900

Row = dict[str, Any]


def run() -> list[Row]:
    """Return medians in milliseconds, reading speed, and memory in MB."""
    return asyncio.run(_run())


async def _run() -> list[Row]:
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for mode in ("FULL", "NORMAL"):
            settings = StorageSettings(sqlite_synchronous=mode)
            history = build_sqlite_history(settings, f"sqlite:///{Path(folder) / mode}.db")
            rows += await _with(history, partial(_commits, name=f"SQLite synchronous={mode}"))
        history = build_sqlite_history(StorageSettings(), f"sqlite:///{Path(folder) / 'read'}.db")
        rows += await _with(history, lambda history: _large(history, "SQLite"))
    return [*rows, *await _postgres_rows(), *_live_rows()]


async def _postgres_rows() -> list[Row]:
    try:
        server = servers.postgres_server()
    except servers.MissingServerError:
        return []
    try:
        server.start()
        history = build_postgres_history(StorageSettings(), server.fresh_database())
        commits = await _with(history, lambda history: _commits(history, "PostgreSQL"))
        history = build_postgres_history(StorageSettings(), server.fresh_database())
        return [*commits, *await _with(history, lambda history: _large(history, "PostgreSQL"))]
    finally:
        server.remove()


async def _with(history: SqlHistory, measure: Callable[[SqlHistory], Awaitable[list[Row]]]) -> list[Row]:
    await history.start()
    try:
        return await measure(history)
    finally:
        await history.stop()


async def _commits(history: SqlHistory, name: str) -> list[Row]:
    return [
        {
            "name": f"{name}: commit of {count:,} points",
            "value": await _commit_ms(history, count, START_S),
            "unit": "ms",
        }
        for count in (100, 1_000)
    ]


async def _commit_ms(history: SqlHistory, count: int, start_s: int) -> float:
    points = _points(count, start_s)
    times_ms = []
    for _ in range(COMMITS):
        batch_ids = [os.urandom(16) for _ in range(10)]
        started = time.perf_counter()
        await history.commit(batch_ids, points)
        times_ms.append((time.perf_counter() - started) * 1_000)
    return median(times_ms)


async def _large(history: SqlHistory, name: str) -> list[Row]:
    """Read much, and commit beside it and beside ten times as much."""
    rows = await _reads(history, name)
    now_s = START_S + READ_ROWS // SERIES * history.resolution_s
    await _settle(history)
    beside = await _commit_ms(history, SERIES, now_s)
    rows.append({"name": f"{name}: commit of {SERIES} points beside {READ_ROWS:,}", "value": beside, "unit": "ms"})
    await history.database.write(partial(_repeat, span_s=now_s - START_S), 120)
    await _settle(history)
    beside = await _commit_ms(history, SERIES, now_s + history.resolution_s)
    title = f"{name}: commit of {SERIES} points beside {READ_ROWS * TIMES_MORE:,}"
    return [*rows, {"name": title, "value": beside, "unit": "ms"}]


async def _settle(history: SqlHistory) -> None:
    """Close and open again: SQLite then has no log of the loading left to be worked off by the next commits."""
    await history.stop()
    await history.start()


def _repeat(connection: Connection, span_s: int) -> None:
    """Let the history be ten times as long, by what it has."""
    times = " UNION ALL ".join(f"SELECT {number} AS times" for number in range(1, TIMES_MORE))
    connection.exec_driver_sql(
        f"INSERT INTO red_points SELECT start_s - times * {span_s}, series_id, calls, errors, durations "
        f"FROM red_points CROSS JOIN ({times}) AS numbers WHERE start_s < {START_S + span_s}"
    )


async def _reads(history: SqlHistory, name: str) -> list[Row]:
    width_s, buckets = history.resolution_s, READ_ROWS // SERIES
    for first in range(0, buckets, 25):
        part = range(first, min(first + 25, buckets))
        await history.commit([], [point for bucket in part for point in _points(SERIES, START_S + bucket * width_s)])
    rows: list[Row] = []
    for label, where in (
        ("all", SeriesFilter()),
        ("all, again", SeriesFilter()),
        ("of one service in ten", SeriesFilter("service-3")),
    ):
        started = time.perf_counter()
        found = await history.read(START_S, START_S + buckets * width_s, where)
        elapsed_ms = (time.perf_counter() - started) * 1_000
        rows.append({"name": f"{name}: read of {len(found)} points ({label})", "value": elapsed_ms, "unit": "ms"})
    return rows


def _live_rows() -> list[Row]:
    entries = [encode_points(_points(SERIES, START_S + second)) for second in range(WINDOW_S)]
    window = LiveWindow(WINDOW_S)
    tracemalloc.start()
    for second, entry in enumerate(entries):
        window.add(decode_points(entry), START_S + second)
    used_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    window = LiveWindow(WINDOW_S)
    started = time.perf_counter()
    for second, entry in enumerate(entries):
        window.add(decode_points(entry), START_S + second)
    per_s = WINDOW_S * SERIES / (time.perf_counter() - started)
    return [
        {"name": f"live window: {SERIES} points/s for {WINDOW_S} s", "value": used_bytes / 1e6, "unit": "MB"},
        {"name": "live window: points decoded and added", "value": per_s, "unit": "points/s"},
    ]


def _points(count: int, start_s: int) -> list[RedPoint]:
    dice = random.Random(start_s)
    return [
        RedPoint(
            SeriesKey(f"service-{number % 10}", service_instance_id=f"instance-{number}", http_route="/predict"),
            start_s,
            10,
            1,
            ExponentialHistogram.of([dice.randint(10**6, 10**8) for _ in range(10)]),
        )
        for number in range(count)
    ]
