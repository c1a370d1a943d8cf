"""Room for so many bytes at once."""

from __future__ import annotations

import asyncio

import pytest

from processor.byte_budget import ByteBudget
from tests.support.waiting import eventually


class Holder:
    """Asks for room, notes when it has it, and holds it until told to let go."""

    def __init__(self, budget: ByteBudget, size: int) -> None:
        self.has_room = False
        self.let_go = asyncio.Event()
        self.task = asyncio.create_task(self._hold(budget, size))

    async def _hold(self, budget: ByteBudget, size: int) -> None:
        async with budget.room_for(size):
            self.has_room = True
            await self.let_go.wait()


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_no_more_is_in_use_than_the_limit() -> None:
    """What does not fit waits until enough is let go."""
    budget = ByteBudget(10)
    first, second, third = Holder(budget, 6), Holder(budget, 4), Holder(budget, 5)
    await settled()
    assert (first.has_room, second.has_room, third.has_room) == (True, True, False)
    second.let_go.set()
    await settled()
    assert not third.has_room
    first.let_go.set()
    await eventually(lambda: third.has_room)
    third.let_go.set()
    await asyncio.gather(first.task, second.task, third.task)


async def test_something_larger_than_the_limit_goes_alone_and_in_its_turn() -> None:
    """A giant waits for an empty room, and those behind it do not overtake it."""
    budget = ByteBudget(10)
    first, giant, small = Holder(budget, 3), Holder(budget, 50), Holder(budget, 1)
    await settled()
    assert (first.has_room, giant.has_room, small.has_room) == (True, False, False)
    first.let_go.set()
    await eventually(lambda: giant.has_room)
    assert not small.has_room
    giant.let_go.set()
    await eventually(lambda: small.has_room)
    small.let_go.set()
    await asyncio.gather(first.task, giant.task, small.task)


async def test_a_cancelled_wait_and_a_cancelled_holder_leave_no_trace() -> None:
    """Whoever gives up, waiting or holding, leaves its room to the next."""
    budget = ByteBudget(10)
    first, waiting, last = Holder(budget, 10), Holder(budget, 10), Holder(budget, 10)
    await settled()
    waiting.task.cancel()
    first.task.cancel()
    await eventually(lambda: last.has_room)
    last.let_go.set()
    await last.task
    for holder in (first, waiting):
        with pytest.raises(asyncio.CancelledError):
            await holder.task
