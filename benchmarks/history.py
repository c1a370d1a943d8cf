"""What long questions cost with a month of history, on SQLite and PostgreSQL, and what a series takes on disk.

Fifty services with ten routes each. The hours of a month, the minutes of 26 hours and ten minutes of commits are there;
no question reads more minutes than those of a day, so that those of the other days are left out to load within seconds.
"Cold" is a page that nobody has open, with nothing derived before; "next second" one that is open. PostgreSQL is left
out where it is not installed.
"""

from __future__ import annotations

import asyncio
import gc
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np
from sqlalchemy import Connection

from benchmarks._loaded_history import load_tier
from query import Query, QuerySettings, SeriesFilter
from storage.component import (
    build_in_process_live_feed,
    build_postgres_history,
    build_sqlite_history,
    build_upkeep,
)
from storage.history import SqlHistory
from storage.settings import StorageSettings
from storage.tiers import COARSE, FINEST, MEDIUM, Tier
from telemetry import Counters, ExponentialHistogram, RedPoint, SeriesKey, merge_red_points
from tests.support import servers

NOW_S: Final = 1_760_002_650  # 37 and a half minutes past the hour
DAY_S: Final = 86_400
COMMITTED_S: Final = 600
ROUNDS: Final = 7
FEW: Final = 2
CALLS_PER_S: Final = 0.5
SERIES: Final = [
    SeriesKey(f"model-{service:02}", "1.0", "i-1", "production", http_method="POST", http_route=f"/v1/route-{route}")
    for service in range(50)
    for route in range(10)
]

Figure = dict[str, Any]


def run() -> list[Figure]:
    """Return milliseconds of the questions, and bytes on disk."""
    rows = _merging_rows()
    # As the roles do (modelwatch/roles.py): a full collection in the midst of a question takes as long as the question.
    thresholds = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    try:
        return [*rows, *asyncio.run(_run())]
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


class _Clock:
    def __init__(self) -> None:
        self.now_s = NOW_S

    def __call__(self) -> int:
        return self.now_s * 1_000_000_000


async def _run() -> list[Figure]:
    clock = _Clock()
    # Nothing is durable here, so that only reading is measured.
    settings = StorageSettings(sqlite_synchronous="NORMAL", rollup_grace_s=30, min_free_bytes=0, warn_free_bytes=0)
    with tempfile.TemporaryDirectory() as folder:
        history = build_sqlite_history(settings, f"sqlite:///{Path(folder) / 'bench.db'}", now_ns=clock)
        rows = await _measure(history, settings, clock, "SQLite")
    try:
        server = servers.postgres_server()
    except servers.MissingServerError:
        return rows
    try:
        server.start()
        history = build_postgres_history(settings, server.fresh_database(), now_ns=clock)
        return rows + await _measure(history, settings, clock, "PostgreSQL")
    finally:
        server.remove()


async def _measure(history: SqlHistory, settings: StorageSettings, clock: _Clock, name: str) -> list[Figure]:
    clock.now_s = NOW_S
    await history.start()
    live = build_in_process_live_feed(settings, Counters(), now_ns=clock)
    await live.start()
    try:
        rows = await _load(history, settings, clock, name, days=3)
        rows += await _questions(history, live, clock, f"{name}, 3 days loaded", is_short=True)
        rows += await _load_hours(history, NOW_S - 30 * DAY_S, NOW_S - 3 * DAY_S, name)
        return rows + await _questions(history, live, clock, f"{name}, 30 days loaded")
    finally:
        await live.stop()
        await history.stop()


async def _load(history: SqlHistory, settings: StorageSettings, clock: _Clock, name: str, days: int) -> list[Figure]:
    """Load hours and minutes directly, commit the last minutes, and roll them up."""
    begin_s = (NOW_S - COMMITTED_S) // 60 * 60
    await history.commit([], [_point(series, begin_s, 1, 0) for series in SERIES])  # makes the series known
    rows = await _load_hours(history, NOW_S - days * DAY_S, begin_s, name, is_sized=True)
    rows += await _load_tier(history, history.tiers[MEDIUM], begin_s - 26 * 3_600, begin_s, name, is_sized=True)
    before = await _size(history, FINEST)
    for second in range(begin_s, NOW_S, 10):
        clock.now_s = second + 10
        await history.commit(
            [], [_point(series, second, int(10 * CALLS_PER_S), index) for index, series in _numbered()]
        )
    clock.now_s = NOW_S
    share = (await _size(history, FINEST) - before) / len(SERIES) / COMMITTED_S * DAY_S
    rows.append({"name": f"{name}: 10 s, of a series that is always called", "value": share, "unit": "bytes/day"})
    began = time.perf_counter()
    rolled = await build_upkeep(settings, history, Counters(), now_ns=clock).roll_up()
    per_bucket_ms = (time.perf_counter() - began) * 1_000 / rolled
    rows.append({"name": f"{name}: rolling up a minute of 500 series", "value": per_bucket_ms, "unit": "ms"})
    return rows


async def _load_hours(
    history: SqlHistory, start_s: int, end_s: int, name: str, *, is_sized: bool = False
) -> list[Figure]:
    start_s, end_s = start_s // 3_600 * 3_600, end_s // 3_600 * 3_600
    return await _load_tier(history, history.tiers[COARSE], start_s, end_s, name, is_sized=is_sized)


async def _load_tier(
    history: SqlHistory, tier: Tier, start_s: int, end_s: int, name: str, *, is_sized: bool
) -> list[Figure]:
    calls = max(int(tier.width_s * CALLS_PER_S), 1)
    points = [replace(_point(series, 0, calls, index), errors=1) for index, series in _numbered()]
    before = await _size(history, tier.rank)
    await load_tier(history, tier, points, start_s, end_s)
    if not is_sized:
        return []
    share = (await _size(history, tier.rank) - before) / len(SERIES) / (end_s - start_s) * DAY_S
    width = {MEDIUM: "1 min", COARSE: "1 h"}[tier.rank]
    return [{"name": f"{name}: {width}, of a series that is always called", "value": share, "unit": "bytes/day"}]


async def _size(history: SqlHistory, rank: int) -> int:
    tables = [table.name for table in history.tiers[rank].tables]

    def measure(connection: Connection) -> int:
        if not history.database.dialect.is_partitioned:
            return history.database.dialect.measure(connection).database_bytes
        sizes = "SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('{}')"
        return sum(int(connection.exec_driver_sql(sizes.format(table)).scalar() or 0) for table in tables)

    return await history.database.read(measure)


async def _questions(
    history: SqlHistory, live: Any, clock: _Clock, name: str, *, is_short: bool = False
) -> list[Figure]:
    def overview(query: Query, days: int = 1) -> Awaitable[Any]:
        return query.services(days * DAY_S)

    def service(query: Query) -> Awaitable[Any]:
        end_s = clock.now_s + 1
        return query.red(end_s - DAY_S, end_s, 300, ("route",), SeriesFilter(service_name="model-07"))

    asked: dict[str, Callable[[Query], Awaitable[Any]]] = {"24 h of all services": overview}
    if not is_short:
        asked["24 h of one service by route, in 5 min"] = service
        asked["30 days of all services"] = lambda query: overview(query, 30)
    rows = []
    for question, ask in asked.items():
        rounds = FEW if question.startswith("30") else ROUNDS
        cold_ms = []
        for _ in range(rounds):
            query = Query(QuerySettings(), history, live, clock)
            began = time.perf_counter()
            await ask(query)
            cold_ms.append((time.perf_counter() - began) * 1_000)
        rows.append({"name": f"{name}: {question}, cold", "value": median(cold_ms), "unit": "ms"})
        warm_ms = []
        for _ in range(0 if is_short else rounds):
            clock.now_s += 1
            began = time.perf_counter()
            await ask(query)
            warm_ms.append((time.perf_counter() - began) * 1_000)
        if warm_ms:
            rows.append({"name": f"{name}: {question}, next second", "value": median(warm_ms), "unit": "ms"})
    return rows


def _merging_rows() -> list[Figure]:
    """Compare adding up a thousand pairs one by one and all at once, as commits and the live window have to."""
    points = [_point(series, 0, 5, seed) for seed in range(4) for series in SERIES]
    pairs = list(zip(points[:1_000], points[1_000:], strict=True))
    one_ms, all_ms = [], []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for first, second in pairs:
            ExponentialHistogram.merge([first.durations, second.durations])
        one_ms.append((time.perf_counter() - began) * 1_000)
        began = time.perf_counter()
        merge_red_points(points)
        all_ms.append((time.perf_counter() - began) * 1_000)
    return [
        {"name": "1,000 pairs of histograms, merged pair by pair", "value": median(one_ms), "unit": "ms"},
        {"name": "2,000 points added up, their histograms all at once", "value": median(all_ms), "unit": "ms"},
    ]


def _numbered() -> Iterable[tuple[int, SeriesKey]]:
    return enumerate(SERIES)


def _point(series: SeriesKey, start_s: int, calls: int, seed: int) -> RedPoint:
    """A point of calls around 50 ms, lognormal; the routes differ by up to a factor of seven."""
    chance = np.random.default_rng(start_s + seed)
    durations = (chance.lognormal(-3 + 0.1 * (seed % 20), 0.5, calls) * 1e9).astype(np.int64)
    return RedPoint(series, start_s, calls, 0, ExponentialHistogram.of(durations))
