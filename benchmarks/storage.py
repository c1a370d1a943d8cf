"""What it costs to keep and to read: commits on SQLite and PostgreSQL, a large read, the live window's memory.

Commits go to the current bucket of the same series over and over, as a processor's do: every row is read, merged and
written back. PostgreSQL runs with fsync on, as it comes; its rows are left out where it is not installed.
"""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import Any, Final

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
            rows += await _with(history, lambda history, mode=mode: _commits(history, f"SQLite synchronous={mode}"))
        history = build_sqlite_history(StorageSettings(), f"sqlite:///{Path(folder) / 'read'}.db")
        rows += await _with(history, lambda history: _reads(history, "SQLite"))
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
        return [*commits, *await _with(history, lambda history: _reads(history, "PostgreSQL"))]
    finally:
        server.remove()


async def _with(history: SqlHistory, measure: Callable[[SqlHistory], Awaitable[list[Row]]]) -> list[Row]:
    await history.start()
    try:
        return await measure(history)
    finally:
        await history.stop()


async def _commits(history: SqlHistory, name: str) -> list[Row]:
    rows: list[Row] = []
    for count in (100, 1_000):
        points = _points(count, START_S)
        times_ms = []
        for _ in range(COMMITS):
            batch_ids = [os.urandom(16) for _ in range(10)]
            started = time.perf_counter()
            await history.commit(batch_ids, points)
            times_ms.append((time.perf_counter() - started) * 1_000)
        rows.append({"name": f"{name}: commit of {count} points", "value": median(times_ms), "unit": "ms"})
    return rows


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
