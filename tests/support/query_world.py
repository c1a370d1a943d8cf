"""A query over a history and a feed in memory, with a clock that stands still until told; for query and API tests."""

from __future__ import annotations

from dataclasses import dataclass

from query import MetricQuery, Query, QuerySettings, ResourceQuery
from telemetry import RedPoint
from tests.support.doubles import ManualClock
from tests.support.memory_history import MemoryFeed, MemoryHistory

NOW_S = 1_700_000_000


@dataclass
class World:
    """What a query stands on. `commit` is what the processor does: history first, then the feed."""

    history: MemoryHistory
    feed: MemoryFeed
    clock: ManualClock
    query: Query
    metrics: MetricQuery
    resources: ResourceQuery

    async def commit(self, *points: RedPoint) -> None:
        await self.history.commit([], points)
        await self.feed.publish(points)

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.feed.now_s = self.clock.now_s


def make_world(*, complete_since_s: int = NOW_S - 900, settings: QuerySettings | None = None) -> World:
    clock = ManualClock(NOW_S + 0.5)
    history, feed = MemoryHistory(), MemoryFeed(900, complete_since_s)
    feed.now_s = clock.now_s
    settings = settings or QuerySettings()
    query, metrics = Query(settings, history, feed, clock), MetricQuery(settings, history, clock)
    return World(history, feed, clock, query, metrics, ResourceQuery(settings, query, history, clock))
