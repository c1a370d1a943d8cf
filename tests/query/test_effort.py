"""What a question costs: the same asked at once is computed once, old figures are not derived again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from query import QuerySettings, QuestionError, SeriesFilter, StorageUnavailableError
from query.answers import GroupBy
from query.blocks import Block
from query.derivation import CellCache
from query.shared_answers import Kept, SharedAnswers
from storage.ports import SeriesFilter as StorageFilter
from telemetry import RedColumns, SeriesKey
from tests.support.calls import point
from tests.support.memory_history import MemoryHistory
from tests.support.query_world import NOW_S, make_world

CHURN = SeriesKey("churn")


async def test_identical_questions_at_once_are_read_once() -> None:
    """Fifty pages that ask the same at the same time cost one reading, and one more after the answer has aged."""
    world = make_world(complete_since_s=NOW_S, settings=QuerySettings(history_recheck_s=0))
    await world.history.commit([], [point(CHURN, NOW_S - 300, [0.1])])
    answers = await asyncio.gather(*(world.query.services(600) for _ in range(50)))
    assert {answer.total.calls for answer in answers} == {1}
    reads = len(world.history.reads)
    await asyncio.gather(*(world.query.services(600, end_s=NOW_S + 1) for _ in range(50)))
    assert len(world.history.reads) == reads
    world.advance(1.1)
    await asyncio.gather(*(world.query.services(600, end_s=NOW_S + 1) for _ in range(50)))
    assert len(world.history.reads) <= 2 * reads


async def test_a_day_is_not_read_again_every_second() -> None:
    """A second later only the end of the range is read."""
    world = make_world(complete_since_s=NOW_S)
    await world.history.commit([], [point(CHURN, NOW_S - 80_000, [0.1])])
    await world.query.services(86_400)
    await world.query.red(NOW_S - 86_400, NOW_S + 1, 600)
    world.history.reads.clear()
    world.advance(1.1)
    await world.query.services(86_400)
    await world.query.red(NOW_S - 86_400, NOW_S + 2, 600)
    assert sum(end_s - start_s for start_s, end_s, _ in world.history.reads) < 2_000


async def test_the_history_is_read_in_bounded_chunks() -> None:
    """No single read spans more than sixty buckets, whatever the step."""
    world = make_world(complete_since_s=NOW_S)
    await world.history.commit([], [point(CHURN, NOW_S - age_s, [0.1]) for age_s in range(0, 7_200, 7)])
    answer = await world.query.red(NOW_S - 7_200, NOW_S + 1, 3_600, (), SeriesFilter("churn"))
    assert answer.items[0].total.calls == len(range(0, 7_200, 7))
    assert max(end_s - start_s for start_s, end_s, _ in world.history.reads) <= 600
    assert {where for *_, where in world.history.reads if where.service_name} == {SeriesFilter("churn")}


async def test_one_who_goes_away_does_not_take_the_answer_from_the_others() -> None:
    """A cancelled question leaves the computation to those who still wait, and errors reach all of them."""
    gate = asyncio.Event()

    async def answer() -> Kept[str]:
        await gate.wait()
        return "answer", lambda: False

    shared: SharedAnswers[str] = SharedAnswers()
    first = asyncio.create_task(shared.get("q", answer))
    second = asyncio.create_task(shared.get("q", answer))
    await asyncio.sleep(0)
    first.cancel()
    gate.set()
    assert await second == "answer"
    with pytest.raises(asyncio.CancelledError):
        await first

    async def failing() -> Kept[str]:
        raise QuestionError("start_s", "no")

    results = await asyncio.gather(*(shared.get("q", failing) for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [QuestionError] * 3
    assert await shared.get("q", answer) == "answer"


async def test_a_failed_reading_is_not_kept() -> None:
    """As soon as the history answers again, so does the query."""
    world = make_world(complete_since_s=NOW_S)
    await world.history.commit([], [point(CHURN, NOW_S - 300, [0.1])])

    class Flaky(MemoryHistory):
        async def read(self, start_s: int, end_s: int, where: StorageFilter, *how: Any) -> RedColumns:
            if len(self.reads) == 1:
                self.reads.append((0, 0, where))
                raise StorageUnavailableError("the database went away")
            return await super().read(start_s, end_s, where, *how)

    world.history.__class__ = Flaky
    with pytest.raises(StorageUnavailableError):
        await world.query.services(3_600)
    assert (await world.query.services(3_600)).total.calls == 1


def test_the_cell_cache_forgets_the_least_recently_used_block_first() -> None:
    """Its weight never passes the limit; an empty block weighs one."""
    cache = CellCache(3)
    group_by: tuple[GroupBy, ...] = ("service",)
    keys = [("live", group_by, SeriesFilter(), Block(second, second + 1)) for second in range(4)]
    for key in keys[:3]:
        cache.put(key, 1, {})
    assert cache.get(keys[0]) == (1, {})
    cache.put(keys[3], 1, {})
    assert cache.get(keys[1]) is None
    assert cache.get(keys[0]) is not None
    cache.put(keys[0], 2, {})
    assert (cache.weight, cache.get(keys[0])) == (3, (2, {}))
