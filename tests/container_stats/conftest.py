"""One real Docker engine for all tests of this room, and the component that watches it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from container_stats.component import ContainerStats, build
from container_stats.settings import ContainerSettings
from container_stats.watched_process import FindWatched
from telemetry import Counters
from tests.support.docker_engine import DockerEngine
from tests.support.metric_consumer import MetricConsumer


class Watching:
    """A component at work, what it counts, and what it has sent."""

    def __init__(self, component: ContainerStats, counters: Counters, consumer: MetricConsumer) -> None:
        self.component = component
        self.counters = counters
        self.sent = consumer

    def figure(self, name: str) -> float:
        return sum(value for (known, _), value in self.counters.gauges().items() if known == name)


Watch = Callable[..., AbstractAsyncContextManager[Watching]]


@pytest.fixture(scope="module")
def engine_process() -> Iterator[DockerEngine]:
    engine = DockerEngine()
    try:
        engine.start()
        yield engine
    finally:
        engine.remove()


@pytest.fixture
def engine(engine_process: DockerEngine) -> Iterator[DockerEngine]:
    """A running engine without containers."""
    if not engine_process.is_running:
        engine_process.start()
    engine_process.delete_all()
    yield engine_process
    if engine_process.is_running:
        engine_process.delete_all()


@pytest.fixture
def watching() -> Watch:
    """`async with watching(engine="unix://…", …)` runs the component with a sample every second."""

    @contextlib.asynccontextmanager
    async def run(
        find_watched: FindWatched | None = None, docker_host: str = "", **settings: Any
    ) -> AsyncIterator[Watching]:
        counters, consumer = Counters(), MetricConsumer()
        own = ContainerSettings(**{"interval_s": 1, "engine": "none", "engine_retry_max_s": 1, **settings})
        component = build(own, counters, consumer=consumer, docker_host=docker_host, find_watched=find_watched)
        await component.start()
        try:
            yield Watching(component, counters, consumer)
        finally:
            await component.stop()

    return run
