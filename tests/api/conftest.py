"""An API over a query in memory, asked through its ASGI interface."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx
import pytest

from api.component import build
from api.health import Checks
from api.settings import ApiSettings
from telemetry import Counters, SeriesKey
from tests.support.calls import point
from tests.support.query_world import NOW_S, World, make_world


@dataclass
class Served:
    """The API with what it stands on."""

    world: World
    counters: Counters = field(default_factory=Counters)
    checks: Checks = field(default_factory=dict)

    def client(self) -> httpx.AsyncClient:
        settings = ApiSettings(check_timeout_s=0.2)
        world = self.world
        questions = world.query, world.metrics, world.resources
        app = build(settings, *questions, self.counters, self.checks, world.clock)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://modelwatch.test")


@pytest.fixture
async def served() -> Served:
    """A slow service with two routes and a well one, live for fifteen minutes."""
    world = make_world()
    for age_s in range(1, 60):
        for route in ("/predict", "/predict/batch"):
            slow = SeriesKey("slow", "1.0", "a", "prod", http_route=route, http_status_class="2xx")
            await world.commit(point(slow, NOW_S - age_s, [1.5]))
    failed = SeriesKey("well", "2.0", "b", "staging", http_route="/predict", http_status_class="5xx")
    refused = failed._replace(http_status_class="4xx")
    await world.commit(point(failed, NOW_S - 5, [0.02], errors=1), point(refused, NOW_S - 4, [0.01, 0.01]))
    return Served(world)


@pytest.fixture
async def client(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    async with served.client() as client:
        yield client
