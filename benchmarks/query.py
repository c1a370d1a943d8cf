"""What the questions of an open page cost, on a synthetic system of fifty services with eight series each.

Five minutes to the second come from the live window, an hour from a real SQLite history. "Next second" is what a page
that is already open asks, after four hundred new points; the longest pause is for how long nothing else could run.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np

from api.documents import json_response, red_document
from query import Query, QuerySettings
from storage.component import build_in_process_live_feed, build_sqlite_history
from storage.settings import StorageSettings
from telemetry import Counters, ExponentialHistogram, RedPoint, SeriesKey

SERVICES: Final = 50
ROUTES: Final = ("/predict", "/predict/batch", "/explain", "/health")
CLASSES: Final = ("2xx", "5xx")
LIVE_S: Final = 300
HOUR_S: Final = 3_600
WARM_ROUNDS: Final = 15
_TICK_S: Final = 0.002

Row = dict[str, Any]


def run() -> list[Row]:
    """Return the median cost of each question in milliseconds."""
    return asyncio.run(_run())


class _Clock:
    def __init__(self, now_s: int) -> None:
        self.now_s = now_s

    def __call__(self) -> int:
        return self.now_s * 1_000_000_000


async def _run() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        clock = _Clock(1_760_000_000 - LIVE_S - 1)
        # Nothing is durable here, so that only reading is measured.
        settings = StorageSettings(sqlite_synchronous="NORMAL")
        history = build_sqlite_history(settings, f"sqlite:///{Path(folder) / 'bench.db'}", now_ns=clock)
        live = build_in_process_live_feed(settings, Counters(), now_ns=clock)
        await history.start()
        await live.start()
        try:
            clock.now_s = 1_760_000_000
            for start_s in range(clock.now_s - HOUR_S, clock.now_s - LIVE_S, 300):
                await history.commit([], [point for s in range(start_s, start_s + 300, 10) for point in _second(s)])
            for start_s in range(clock.now_s - LIVE_S, clock.now_s + 1):
                points = _second(start_s)
                await history.commit([], points)
                await live.publish(points)
            query = Query(QuerySettings(), history, live, clock)

            async def next_second() -> None:
                clock.now_s += 1
                points = _second(clock.now_s)
                await history.commit([], points)
                await live.publish(points)

            return [*await _live_rows(query, clock, next_second), *await _history_rows(query, clock, next_second)]
        finally:
            await live.stop()
            await history.stop()


async def _live_rows(query: Query, clock: _Clock, next_second: Callable[[], Awaitable[None]]) -> list[Row]:
    def red() -> Awaitable[Any]:
        return query.red(clock.now_s + 1 - LIVE_S, clock.now_s + 1, 1)

    rows = await _costs("red, 5 min at 1 s by service, live", red, next_second)
    rows += await _costs("services over 5 min, live", lambda: query.services(LIVE_S), next_second)
    answer = await query.red(clock.now_s + 1 - LIVE_S, clock.now_s + 1, 1)
    began = time.perf_counter()
    body = json_response(red_document(answer, answer.items, None)).body
    rows.append({"name": "red as JSON", "value": _ms_since(began), "unit": "ms"})
    rows.append({"name": "red as JSON, size", "value": len(body) / 1_000, "unit": "KB"})
    return rows


async def _history_rows(query: Query, clock: _Clock, next_second: Callable[[], Awaitable[None]]) -> list[Row]:
    def red() -> Awaitable[Any]:
        return query.red(clock.now_s + 1 - HOUR_S, clock.now_s + 1, 20)

    rows = await _costs("red, 1 h at 20 s by service, SQLite", red, next_second)
    return rows + await _costs("services over 1 h, SQLite", lambda: query.services(HOUR_S), next_second)


async def _costs(name: str, ask: Callable[[], Awaitable[Any]], next_second: Callable[[], Awaitable[None]]) -> list[Row]:
    with _longest_pause() as pause:
        began = time.perf_counter()
        await ask()
        first_ms = _ms_since(began)
        # The watcher of pauses needs a turn to see the last one.
        await asyncio.sleep(0.01)
    began = time.perf_counter()
    await ask()
    again_ms = _ms_since(began)
    warm_ms = []
    for _ in range(WARM_ROUNDS):
        await next_second()
        began = time.perf_counter()
        await ask()
        warm_ms.append(_ms_since(began))
    return [
        {"name": f"{name}: first question", "value": first_ms, "unit": "ms"},
        {"name": f"{name}: longest pause of the loop", "value": pause[0] * 1_000, "unit": "ms"},
        {"name": f"{name}: next second", "value": median(warm_ms), "unit": "ms"},
        {"name": f"{name}: same moment", "value": again_ms, "unit": "ms"},
    ]


@contextmanager
def _longest_pause() -> Iterator[list[float]]:
    """Watch for how long the event loop was busy at a stretch, in seconds."""
    longest = [0.0]

    async def watch() -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(_TICK_S)
            longest[0] = max(longest[0], time.perf_counter() - began - _TICK_S)

    watcher = asyncio.create_task(watch())
    try:
        yield longest
    finally:
        watcher.cancel()


def _second(second: int) -> list[RedPoint]:
    """Every series' point for one second: one to five calls each, lognormal around 50 ms."""
    chance = random.Random(second)
    durations = np.random.default_rng(second)
    return [
        RedPoint(
            SeriesKey(f"model-{service:02}", "1.0", "i-1", "production", http_route=route, http_status_class=kind),
            second,
            (calls := chance.randint(1, 5)),
            calls if kind == "5xx" else 0,
            ExponentialHistogram.of((durations.lognormal(-3, 0.6, calls) * 1e9).astype(np.int64)),
        )
        for service in range(SERVICES)
        for route in ROUTES
        for kind in CLASSES
    ]


def _ms_since(began: float) -> float:
    return (time.perf_counter() - began) * 1_000
