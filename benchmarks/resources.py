"""How long questions about resources take: fifty containers, reported every ten seconds for an hour, on SQLite.

The questions are those of the pages: the last five minutes in the finest steps, the last hour in as many as its charts
have room for; and, as the dearest that the API lets be asked, the hour in steps of ten seconds. Each is asked anew, the
best of several counts. Run by `make bench`, or alone as `python -m benchmarks.resources`.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import defaultdict
from typing import Any, Final

from dash_app.shell.view import RANGES
from query import Query, QuerySettings, ResourceQuery
from storage.component import build_sqlite_history, build_upkeep
from storage.history import SqlHistory
from storage.settings import StorageSettings
from telemetry import Counters
from telemetry.metric_points import MetricPoint
from tests.support.memory_history import MemoryFeed
from tests.support.resource_traffic import fleet

NOW_S: Final = 1_760_000_000 // 3_600 * 3_600
CONTAINERS: Final = 50
HISTORY_S: Final = 3_900
ROUNDS: Final = 3
_COMMIT_S: Final = 60
_OF_THE_FLEET: Final = 5
"""Containers that the fleet has without extra ones."""


def run() -> list[dict[str, Any]]:
    """Return seconds per question."""
    return asyncio.run(_run())


async def _run() -> list[dict[str, Any]]:
    questions = (
        ("5 min, as on the page", 300, RANGES["5m"].series_step_s),
        ("1 h, as on the page", 3_600, RANGES["1h"].series_step_s),
        ("1 h by 10 s", 3_600, 10),
    )
    with tempfile.TemporaryDirectory() as folder:
        settings = StorageSettings()
        history = build_sqlite_history(settings, f"sqlite:///{folder}/resources.db", now_ns=_now_ns)
        await history.start()
        try:
            await _fill(history)
            await build_upkeep(settings, history, Counters(), now_ns=_later_ns).roll_up()
            rows = []
            for name, length_s, step_s in questions:
                spent_s = min([await _spent_s(history, length_s, step_s) for _ in range(ROUNDS)])
                rows.append({"name": f"resources of {CONTAINERS} containers, {name}", "value": spent_s, "unit": "s"})
            return rows
        finally:
            await history.stop()


async def _fill(history: SqlHistory) -> None:
    points: defaultdict[int, list[MetricPoint]] = defaultdict(list)
    for point in fleet(NOW_S - HISTORY_S, NOW_S, CONTAINERS - _OF_THE_FLEET):
        points[point.start_s // _COMMIT_S].append(point)
    for minute in sorted(points):
        await history.commit([minute.to_bytes(16, "big")], [], points[minute])


async def _spent_s(history: SqlHistory, length_s: int, step_s: int) -> float:
    settings = QuerySettings(history_cache_s=0)
    query = Query(settings, history, MemoryFeed(900, NOW_S), _now_ns)
    resources = ResourceQuery(settings, query, history, _now_ns)
    started = time.perf_counter()
    answer = await resources.resources(NOW_S - length_s, NOW_S, step_s)
    spent_s = time.perf_counter() - started
    assert len(answer.items) > CONTAINERS
    return spent_s


def _now_ns() -> int:
    return NOW_S * 10**9


def _later_ns() -> int:
    """The time of the upkeep: in a running system all but the last half minute is rolled up."""
    return _now_ns() + 60 * 10**9


if __name__ == "__main__":
    for row in run():
        print(f"{row['name']:<60} {row['value']:>8.3f} {row['unit']}")
