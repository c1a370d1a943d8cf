"""A history and a live feed that keep the promises of their ports, and go wrong when they are told to."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

from storage.ports import StorageUnavailableError
from telemetry import KeptSpan, RedPoint, ServiceInstance
from telemetry.metric_points import MetricPoint
from tests.support.memory_history import MemoryFeed, MemoryHistory


class ScriptedHistory(MemoryHistory):
    """Notes every attempt to commit. `errors` are raised instead of storing, `late_errors` after it, one per call.

    While `gate` is cleared, commits wait. `refused_id` makes every commit that names it fail for good.
    """

    def __init__(self) -> None:
        super().__init__()
        self.attempts: list[list[bytes]] = []
        self.errors: list[Exception] = []
        self.late_errors: list[Exception] = []
        self.refused_id: bytes | None = None
        self.refusal: Exception = StorageUnavailableError("no")
        self.gate = asyncio.Event()
        self.gate.set()

    async def commit(
        self,
        batch_ids: Sequence[bytes],
        points: Sequence[RedPoint],
        metrics: Sequence[MetricPoint] = (),
        instances: Collection[ServiceInstance] = (),
        spans: Sequence[KeptSpan] = (),
    ) -> None:
        self.attempts.append(list(batch_ids))
        await self.gate.wait()
        if self.errors:
            raise self.errors.pop(0)
        if self.refused_id in batch_ids:
            raise self.refusal
        await super().commit(batch_ids, points, metrics, instances, spans)
        if self.late_errors:
            raise self.late_errors.pop(0)

    @property
    def calls(self) -> int:
        """Calls of all points that are stored."""
        return sum(point.calls for point in self.points)


class CountingFeed(MemoryFeed):
    """Counts resets and keeps what was published."""

    def __init__(self) -> None:
        super().__init__(length_s=900, now_s=0)
        self.resets = 0
        self.published: list[RedPoint] = []

    async def publish(self, points: Sequence[RedPoint]) -> None:
        self.published.extend(points)

    async def reset(self) -> None:
        self.resets += 1

    @property
    def calls(self) -> int:
        """Calls of all points that were published."""
        return sum(point.calls for point in self.published)
