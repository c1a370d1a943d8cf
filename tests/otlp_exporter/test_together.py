"""Targets that are down add nothing to each other's stop."""

from __future__ import annotations

import asyncio

import pytest

from otlp_exporter.together import Together
from tests.otlp_exporter.conftest import Carrier
from tests.otlp_exporter.test_forwarding import numbered
from tests.support.ports import free_port
from tests.support.waiting import eventually


class Meeting:
    """Stops when all others do, and not before."""

    def __init__(self, barrier: asyncio.Barrier, error: Exception | None = None) -> None:
        self._barrier = barrier
        self._error = error
        self.is_stopped = False

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        async with asyncio.timeout(20):
            await self._barrier.wait()
        self.is_stopped = True
        if self._error:
            raise self._error


async def test_all_stop_at_once_and_no_error_is_lost() -> None:
    """Each is told to stop before any has; what fails keeps none from stopping."""
    barrier = asyncio.Barrier(3)
    members = [Meeting(barrier), Meeting(barrier, OSError("no")), Meeting(barrier)]
    with pytest.raises(ExceptionGroup) as raised:
        await Together(members).stop()
    assert [str(error) for error in raised.value.exceptions] == ["no"]
    assert all(one.is_stopped for one in members)


async def test_the_feeds_of_all_targets_stop_together(carrier: Carrier) -> None:
    """However many are down, one component stands for them when ModelWatch ends."""
    targets = [{"name": f"dead-{n}", "endpoint": f"http://localhost:{free_port()}"} for n in range(3)]
    await carrier.start(*targets)
    await carrier.offer(numbered(1)[0])
    await eventually(lambda: all(carrier.gauge("forward_is_failing", one["name"]) for one in targets))
    assert sum(isinstance(one, Together) for one in carrier.running) == 1
    assert not any(type(one).__name__.endswith("Feed") for one in carrier.running)
    await carrier.stop()
