"""Questions about resources where the finer buckets of the history end, on real stores."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from query import Query, QuerySettings, ResourceQuery
from storage.component import build_postgres_history, build_sqlite_history, build_upkeep
from storage.settings import StorageSettings
from telemetry import Counters
from tests.support.doubles import ManualClock
from tests.support.memory_history import MemoryFeed
from tests.support.resource_metrics import container, counter, reading

NOW_S = 1_760_000_400 // 3_600 * 3_600
CORES = 0.5


@pytest.fixture(params=["sqlite", "postgres"])
async def history(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Any]:
    """A history, its settings and the clock of its upkeep."""
    clock = ManualClock(NOW_S)
    settings = StorageSettings(min_free_bytes=0, rollup_grace_s=1, max_clock_skew_s=1e12)
    if request.param == "sqlite":
        store = build_sqlite_history(settings, f"sqlite:///{tmp_path / 'history.db'}", now_ns=clock)
    else:
        url = request.getfixturevalue("postgres").fresh_database()
        store = build_postgres_history(settings, url, now_ns=clock)
    await store.start()
    yield store, settings, clock
    await store.stop()


async def test_where_minutes_end_no_use_of_cpu_is_lost(history: Any) -> None:
    """Half a core is half a core in every step, whatever its width and wherever it begins around that time."""
    store, settings, clock = history
    box = container()
    upkeep = build_upkeep(settings, store, Counters(), now_ns=clock)
    await upkeep.delete_expired()
    border_s = (await store.kept())[1].since_s
    assert border_s > 0
    seconds = range(border_s - 4 * 3_600, border_s + 3 * 3_600, 60)
    points = [
        *counter("container.cpu.time", [(second, CORES * (second - seconds[0])) for second in seconds], box),
        *reading("container.cpu.limit", [(second, 2.0) for second in seconds], box),
    ]
    await store.commit([b"x" * 16], [], points)
    for _ in range(3):
        clock.advance(5)
        await upkeep.roll_up()
    await upkeep.delete_expired()
    asked = QuerySettings(history_cache_s=0)
    resources = ResourceQuery(asked, Query(asked, store, MemoryFeed(900, NOW_S), clock), store, clock)
    for step_s in (60, 421, 1_260):
        for start_s in (border_s, border_s + 61, border_s + step_s):
            answer = await resources.resources(start_s, border_s + 2 * 3_600, step_s)
            (item,) = answer.items
            assert answer.start_s <= start_s
            assert [step.cpu_cores for step in item.steps] == [pytest.approx(CORES, rel=1e-6)] * len(item.steps)
