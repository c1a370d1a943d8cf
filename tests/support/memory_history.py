"""A history in memory, for tests that need one quickly and whole: the port's promises without a database.

It has one tier only."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from storage.live_window import CallTotal, LiveWindow
from storage.metric_ports import MetricFilter
from storage.ports import AlreadyCommittedError, KeptTier, SeriesFilter, StorageUnavailableError
from storage.sanitising import clean_filter
from storage.trace_ports import FoundSpans, FoundTrace, Order, Place, SpanFilter
from telemetry import KeptSpan, RedColumns, RedPoint, SeenInstance, ServiceInstance, merge_red_points
from telemetry.metric_points import MetricColumns, MetricPoint, merge_metric_points
from telemetry.metric_series import MetricSeriesKey

_LONGEST_NAME = 20_000


class MemoryHistory:
    """Keeps points in buckets of `resolution_s`; refuses everything while `is_down`."""

    def __init__(self, resolution_s: int = 10) -> None:
        self.resolution_s = resolution_s
        self.points: list[RedPoint] = []
        self.metrics: list[MetricPoint] = []
        self.spans: list[KeptSpan] = []
        self.seen_instances: list[SeenInstance] = []
        self.batch_ids: set[bytes] = set()
        self.is_down = False
        self.reads: list[tuple[int, int, SeriesFilter]] = []
        self.comparisons: list[tuple[int, int]] = []

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def commit(
        self,
        batch_ids: Sequence[bytes],
        points: Sequence[RedPoint],
        metrics: Sequence[MetricPoint] = (),
        instances: Collection[ServiceInstance] = (),
        spans: Sequence[KeptSpan] = (),
    ) -> None:
        await self.check()
        known = self.batch_ids & set(batch_ids)
        if known:
            raise AlreadyCommittedError(frozenset(known))
        self.batch_ids |= set(batch_ids)
        self.points = merge_red_points([*self.points, *points], self.resolution_s)
        self.metrics = merge_metric_points([*self.metrics, *metrics], self.resolution_s)
        self.spans += spans

    async def instances(self, since_s: int, service_name: str | None = None) -> list[SeenInstance]:
        await self.check()
        return [
            seen
            for seen in self.seen_instances
            if seen.last_seen_s >= since_s and service_name in (None, seen.instance.service_name)
        ]

    async def read(
        self,
        start_s: int,
        end_s: int,
        where: SeriesFilter,
        width_s: int | None = None,
        by: Collection[str] | None = None,
    ) -> RedColumns:
        await self.check()
        self.reads.append((start_s, end_s, where))
        where = clean_filter(where, _LONGEST_NAME)  # as both real stores do
        inside = (point for point in self.points if start_s <= point.start_s < end_s and where.matches(point.series))
        return RedColumns.of(sorted(inside, key=lambda point: point.start_s))

    async def read_metrics(
        self, start_s: int, end_s: int, where: MetricFilter, width_s: int | None = None
    ) -> MetricColumns:
        await self.check()
        series = sorted({point.series for point in self.metrics if where.matches(point.series)})
        index_of = {one: index for index, one in enumerate(series)}
        inside = (point for point in self.metrics if start_s <= point.start_s < end_s and point.series in index_of)
        return MetricColumns(
            series, sorted((one.start_s, index_of[one.series], one.state.to_bytes()) for one in inside)
        )

    async def metric_series(self, start_s: int, end_s: int, where: MetricFilter) -> list[MetricSeriesKey]:
        await self.check()
        return sorted({point.series for point in self.metrics if where.matches(point.series)})

    async def find_spans(self, where: SpanFilter, order: Order, limit: int, after: Place | None = None) -> FoundSpans:
        await self.check()
        first = "start_s" if order == "time" else "duration_ns"
        placed = sorted(
            ((getattr(one, first), one.end_ns, one.trace_id, one.span_id), one)
            for one in self.spans
            if _matches(one, where)
        )
        left = [(place, one) for place, one in reversed(placed) if after is None or place < after]
        more = left[limit - 1][0] if len(left) > limit else None
        return FoundSpans([one._replace(detail=b"") for _, one in left[:limit]], more, len(self.spans))

    async def count_spans(self, where: SpanFilter, limit: int) -> int:
        await self.check()
        return min(sum(_matches(one, where) for one in self.spans), limit)

    async def trace(self, trace_id: bytes, limit: int) -> FoundTrace:
        await self.check()
        found = sorted(
            (one for one in self.spans if one.trace_id == trace_id), key=lambda one: one.end_ns - one.duration_ns
        )
        return FoundTrace(found[:limit], len(found))

    async def oldest_span_s(self) -> int | None:
        await self.check()
        return min((one.start_s for one in self.spans), default=None)

    async def kept(self) -> list[KeptTier]:
        await self.check()
        return [KeptTier(self.resolution_s, 0)]

    async def call_totals(self, start_s: int, end_s: int) -> dict[int, CallTotal]:
        self.comparisons.append((start_s, end_s))
        await self.check()
        totals: dict[int, CallTotal] = {}
        for point in self.points:
            if start_s <= point.start_s < end_s and point.calls:
                calls, errors = totals.get(point.start_s, CallTotal(0, 0))
                totals[point.start_s] = CallTotal(calls + point.calls, errors + point.errors)
        return totals

    async def oldest_s(self) -> int | None:
        await self.check()
        return min((point.start_s for point in self.points), default=None)

    async def check(self) -> None:
        if self.is_down:
            raise StorageUnavailableError("the database does not answer")


def _matches(span: KeptSpan, where: SpanFilter) -> bool:
    texts = ("service_name", "deployment_environment", "service_version", "service_instance_id", "model_name")
    names = (*texts, "http_route", "operation")
    longest_ns = where.max_duration_ns if where.max_duration_ns is not None else span.duration_ns + 1
    codes = where.status_codes or (0, 1_000)
    return (
        where.start_s <= span.start_s < where.end_s
        and all(getattr(where, name) in (None, getattr(span, name)) for name in names)
        and (where.span_kinds is None or span.span_kind in where.span_kinds)
        and codes[0] <= span.http_status_code < codes[1]
        and where.is_error in (None, bool(span.is_error))
        and (where.min_duration_ns or 0) <= span.duration_ns < longest_ns
    )


class MemoryFeed:
    """A live feed that is nothing but its window. `now_s` is the second that the next call happens in."""

    def __init__(self, length_s: int, now_s: int) -> None:
        self.window = LiveWindow(length_s)
        self.window.restart(now_s)
        self.now_s = now_s

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def publish(self, points: Sequence[RedPoint]) -> None:
        self.window.add(points, self.now_s)

    async def reset(self) -> None:
        self.window.restart(self.now_s)
