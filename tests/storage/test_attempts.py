"""Attempts that have not ended, on both databases."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from storage.component import build_attempts, build_upkeep
from storage.history import SqlHistory
from storage.ports import StorageUnavailableError
from storage.settings import StorageSettings
from telemetry import Counters
from tests.support.doubles import ManualClock

ONE, OTHER = b"1" * 16, b"2" * 16


async def test_attempts_that_have_not_ended_are_counted_for_each_batch(history: SqlHistory) -> None:
    """Beginning tells of those before it; ending takes one back; no batch is mistaken for another."""
    attempts = build_attempts(history)
    assert [await attempts.begin(ONE) for _ in range(3)] == [0, 1, 2]
    assert await attempts.begin(OTHER) == 0
    await attempts.end(ONE)
    await attempts.end(OTHER)
    assert [await attempts.begin(ONE), await attempts.begin(OTHER)] == [2, 0]


async def test_what_is_forgotten_or_ended_begins_anew(history: SqlHistory) -> None:
    """Ending more than was begun, or what nobody knows, is no credit for later."""
    attempts = build_attempts(history)
    for _ in range(4):
        await attempts.begin(ONE)
    await attempts.forget(ONE)
    await attempts.end(ONE)
    await attempts.end(OTHER)
    assert [await attempts.begin(ONE), await attempts.begin(ONE)] == [0, 1]
    await attempts.end(ONE)
    await attempts.end(ONE)
    await attempts.end(ONE)
    assert await attempts.begin(ONE) == 0


async def test_other_processes_see_them_and_a_restart_keeps_them(store: Any) -> None:
    """What a process that died had begun is known to whoever comes after it; of many at once none is lost."""
    first, second = store.history(), store.history()
    await first.start()
    await asyncio.gather(*(build_attempts(first).begin(ONE) for _ in range(20)))
    await first.stop()
    await second.start()
    assert await build_attempts(second).begin(ONE) == 20
    await second.stop()
    with pytest.raises(StorageUnavailableError):
        await build_attempts(second).begin(ONE)


async def test_what_nobody_came_back_to_expires_with_the_batch_ids(store: Any) -> None:
    """A batch that was never seen again leaves nothing behind for ever."""
    clock = ManualClock()
    history = store.history(now_ns=clock)
    await history.start()
    attempts = build_attempts(history, now_ns=clock)
    settings = StorageSettings(min_free_bytes=0)
    upkeep = build_upkeep(settings, history, Counters(), now_ns=clock)
    await attempts.begin(ONE)
    clock.advance(settings.batch_ids_retention_s)
    await attempts.begin(OTHER)
    await upkeep.delete_expired()
    assert await attempts.begin(ONE) == 1
    clock.advance(settings.batch_ids_retention_s + 1)
    await upkeep.delete_expired()
    assert await attempts.begin(ONE) == 0
    await history.stop()
