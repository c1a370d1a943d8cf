"""A query over a history and a feed in memory, with a clock that stands still until told; for query and API tests."""

from __future__ import annotations

from dataclasses import dataclass

from query import MetricQuery, Query, QuerySettings, ResourceQuery
from storage.sanitising import clean_points
from telemetry import RedPoint
from tests.support.doubles import ManualClock
from tests.support.memory_history import MemoryFeed, MemoryHistory

NOW_S = 1_700_000_000
_LONGEST_NAME = 20_000


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
        cleaned = clean_points(points, _LONGEST_NAME)  # as both real stores do
        await self.history.commit([], cleaned)
        await self.feed.publish(cleaned)

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
