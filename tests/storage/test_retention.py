"""Old data goes, all of it and nothing else, beside writers that go on."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy import func, select

from storage.component import build_retention
from storage.history import SqlHistory
from storage.ports import AlreadyCommittedError, SeriesFilter
from storage.schema import series
from storage.settings import StorageSettings
from tests.support.doubles import ManualClock
from tests.support.red_points import random_points, red_point, totals_of
from tests.support.waiting import eventually

DAY_S = 86_400
SETTINGS = StorageSettings(retention_chunk_rows=7, retention_interval_s=0.05)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def history(store: Any, clock: ManualClock) -> AsyncIterator[SqlHistory]:
    made: SqlHistory = store.history(now_ns=clock)
    await made.start()
    yield made
    await made.stop()


async def starts(history: SqlHistory) -> list[int]:
    return [point.start_s for point in await history.read(0, 2**40, SeriesFilter())]


async def test_points_go_at_their_age_and_younger_ones_stay(history: SqlHistory, clock: ManualClock) -> None:
    """Exactly what began before now minus `points_retention_s` is deleted, however many chunks that takes."""
    limit_s = clock.now_s // 10 * 10 - SETTINGS.points_retention_s
    clock.advance(-(clock.now_s % 10))
    old = [red_point(start_s=limit_s - 10 * number) for number in range(1, 31)]
    await history.commit([], [*old, red_point(start_s=limit_s), red_point(start_s=clock.now_s)])
    deleted = await build_retention(SETTINGS, history, now_ns=clock).delete_all_expired()
    assert deleted == 30
    assert await starts(history) == [limit_s, clock.now_s]


async def test_batch_ids_are_known_until_their_age(history: SqlHistory, clock: ManualClock) -> None:
    """A batch is refused for `batch_ids_retention_s`, and forgotten after."""
    retention = build_retention(SETTINGS, history, now_ns=clock)
    await history.commit([b"old".ljust(16)], [])
    clock.advance(SETTINGS.batch_ids_retention_s)
    assert await retention.delete_all_expired() == 0
    with pytest.raises(AlreadyCommittedError):
        await history.commit([b"old".ljust(16)], [])
    clock.advance(1)
    assert await retention.delete_all_expired() == 1
    await history.commit([b"old".ljust(16)], [])


async def test_series_go_when_no_point_can_be_left_of_them(history: SqlHistory, clock: ManualClock, store: Any) -> None:
    """A series in use stays for ever, one out of use goes some days after its last point, and may come back."""
    retention = build_retention(SETTINGS, history, now_ns=clock)
    engine = sqlalchemy.create_engine(store.url)

    def count() -> int:
        with engine.connect() as connection:
            return connection.scalar(select(func.count()).select_from(series)) or 0

    await history.commit([], [red_point("gone", clock.now_s)])
    for _ in range(30):
        await history.commit([], [red_point("busy", clock.now_s)])
        await retention.delete_all_expired()
        assert {point.series.service_name for point in await history.read(0, 2**40, SeriesFilter())} >= {"busy"}
        clock.advance(DAY_S / 2)
    assert count() == 1
    await history.commit([], [red_point("gone", clock.now_s)])
    assert count() == 2
    assert [
        point.series.service_name for point in await history.read(clock.now_s - 10, clock.now_s + 10, SeriesFilter())
    ] == ["gone"]
    engine.dispose()


async def test_deleting_in_the_background_leaves_commits_exact(history: SqlHistory, clock: ManualClock) -> None:
    """Two retentions and a writer at once: what is young is counted to the last call."""
    retentions = [build_retention(SETTINGS, history, now_ns=clock) for _ in range(2)]
    for retention in retentions:
        await retention.start()
        await retention.start()
    old_s = clock.now_s - SETTINGS.points_retention_s - 1_000
    young = random_points(11, 200)
    for first in range(0, 200, 20):
        old = [red_point(f"s{number}", start_s=old_s + first) for number in range(20)]
        await history.commit([os.urandom(16)], [*young[first : first + 20], *old])

    async def is_old_gone() -> bool:
        return not await history.read(0, clock.now_s - SETTINGS.points_retention_s, SeriesFilter())

    await eventually(is_old_gone)
    assert totals_of(await history.read(0, 2**40, SeriesFilter())) == totals_of(young, 10)
    await asyncio.gather(*(retention.stop() for retention in retentions))


async def test_retention_outlives_a_history_that_is_gone_for_a_while(history: SqlHistory, clock: ManualClock) -> None:
    """A round that fails is tried again; start-stop-start-stop works."""
    retention = build_retention(SETTINGS, history, now_ns=clock)
    await history.stop()
    await retention.start()
    await history.start()
    await history.commit([b"old".ljust(16)], [])
    clock.advance(SETTINGS.batch_ids_retention_s + 1)

    async def is_forgotten() -> bool:
        try:
            await history.commit([b"old".ljust(16)], [])
        except AlreadyCommittedError:
            return False
        return True

    await eventually(is_forgotten)
    for _ in range(2):
        await retention.stop()
        await retention.start()
    await retention.stop()
    await retention.stop()
