"""The history on SQLAlchemy Core: one component for SQLite and PostgreSQL.

The processor commits to it, query reads from it; it joins the database, the statements and the memory of series.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import structlog
from sqlalchemy import URL, Connection, select

from storage.carry_over import set_up_tiers
from storage.commits import Mark, Part, commit, commit_statements, new_token, rows_of
from storage.database import Database
from storage.dialects import Dialect
from storage.instance_catalog import INSTANCE_RENEWAL_S, InstanceCatalog, instance_row
from storage.instances import read_instances
from storage.live_window import CallTotal
from storage.metric_ports import MetricFilter
from storage.metric_reads import metric_series_in, read_metrics
from storage.metric_rows import metric_rows_of
from storage.migrations import migrate
from storage.ports import KeptTier, SeriesFilter, StorageUnavailableError
from storage.reads import call_totals, oldest_s, read_held, read_points
from storage.sanitising import clean_filter, clean_text
from storage.series_catalog import MetricSeriesCatalog, SeriesCatalog
from storage.settings import StorageSettings
from storage.span_rows import span_rows_of
from storage.summaries import are_enough_for
from storage.table_writing import Rows
from storage.tiers import FINEST, MEDIUM, floor_to, tiers_of
from storage.trace_ports import FoundSpans, FoundTrace, Order, Place, SpanFilter
from storage.trace_reads import count_spans, find_spans, oldest_span_s, read_trace
from storage.trace_retention import TraceTable
from telemetry import KeptSpan, NowNs, RedColumns, RedPoint, SeenInstance, ServiceInstance, StartError
from telemetry.metric_points import MetricColumns, MetricPoint
from telemetry.metric_series import MetricSeriesKey

log = structlog.get_logger(__name__)

_NS_PER_S = 1_000_000_000
_START_RETRY_S = 0.5
_MIGRATION_TIMEOUT_S = 600.0


class SqlHistory:
    """RED points in a database. Implements `storage.ports.History`."""

    def __init__(self, dialect: Dialect, url: URL, settings: StorageSettings, now_ns: NowNs = time.time_ns) -> None:
        self._settings = settings
        self._now_ns = now_ns
        self.database = Database(dialect, url, settings)
        self.tiers = tiers_of(settings)
        self.traces = TraceTable(settings)
        self.writer = new_token()
        """By what this process's marks are told from those of others."""
        self._statements = commit_statements(dialect)
        self.catalog = SeriesCatalog(settings.max_cached_series, settings.max_field_chars)
        self._metric_catalog = MetricSeriesCatalog(settings.max_cached_series)
        self._instance_catalog = InstanceCatalog(settings.max_instances, settings.max_field_chars)

    @property
    def resolution_s(self) -> int:
        """The width in seconds of the buckets that points are kept in."""
        return self._settings.resolution_s

    async def start(self) -> None:
        """Connect and bring the schema up to date. Waits a while for a server that is still coming up."""
        if self.database.is_open:
            return
        self.database.open()
        self.catalog.forget_noted()
        self._metric_catalog.forget_noted()
        self._instance_catalog.forget_noted()
        try:
            await self._migrate_when_it_answers()
        except BaseException:
            await self.database.close()
            raise

    async def stop(self) -> None:
        """Let what runs end, within a few seconds, and close the connections."""
        await self.database.close()

    async def commit(
        self,
        batch_ids: Sequence[bytes],
        points: Sequence[RedPoint],
        metrics: Sequence[MetricPoint] = (),
        instances: Collection[ServiceInstance] = (),
        spans: Sequence[KeptSpan] = (),
    ) -> None:
        """See `storage.ports.History.commit`."""
        if not batch_ids and not points and not metrics and not instances and not spans:
            return
        now_s = self._now_ns() // _NS_PER_S
        to_note = self._instance_catalog.to_note(instances, now_s)
        rows = [instance_row(row_id, instance, now_s) for row_id, instance in to_note.items()]
        job = partial(
            self._commit, sorted(set(batch_ids)), points, now_s, metrics=metrics, instance_rows=rows, spans=spans
        )
        noted = await self.database.write(job)
        self.catalog.noted(noted[0], now_s)
        self._metric_catalog.noted(noted[1], now_s)
        self._instance_catalog.noted(to_note, now_s)

    async def instances(self, since_s: int, service_name: str | None = None) -> Sequence[SeenInstance]:
        """See `storage.instance_ports.InstanceHistory.instances`."""
        since_s -= INSTANCE_RENEWAL_S
        service_name = None if service_name is None else clean_text(service_name, self._settings.max_field_chars)
        limit = self._settings.max_instances
        return await self.database.read(lambda connection: read_instances(connection, since_s, service_name, limit))

    async def find_spans(self, where: SpanFilter, order: Order, limit: int, after: Place | None = None) -> FoundSpans:
        """See `storage.trace_ports.TraceHistory.find_spans`."""
        dialect, most = self.database.dialect, self._settings.max_found_spans
        where = self._cleaned(where)
        return await self.database.read(
            lambda connection: find_spans(connection, dialect, where, order, limit, after, most)
        )

    async def count_spans(self, where: SpanFilter, limit: int) -> int:
        """See `storage.trace_ports.TraceHistory.count_spans`."""
        dialect, where = self.database.dialect, self._cleaned(where)
        return await self.database.read(lambda connection: count_spans(connection, dialect, where, limit))

    async def trace(self, trace_id: bytes, limit: int) -> FoundTrace:
        """See `storage.trace_ports.TraceHistory.trace`."""
        dialect = self.database.dialect
        return await self.database.read(lambda connection: read_trace(connection, dialect, trace_id, limit))

    async def oldest_span_s(self) -> int | None:
        """See `storage.trace_ports.TraceHistory.oldest_span_s`."""
        dialect = self.database.dialect
        return await self.database.read(lambda connection: oldest_span_s(connection, dialect))

    async def read_metrics(
        self, start_s: int, end_s: int, where: MetricFilter, width_s: int | None = None
    ) -> MetricColumns:
        """See `storage.metric_ports.MetricHistory.read_metrics`."""
        rank = max((tier.rank for tier in self.tiers if tier.width_s <= (width_s or 0)), default=FINEST)
        return await self.database.read(
            lambda connection: read_metrics(
                connection,
                self.database.dialect,
                self.tiers,
                (start_s, end_s),
                where,
                rank,
                self._settings.max_read_points,
            )
        )

    async def metric_series(self, start_s: int, end_s: int, where: MetricFilter) -> Sequence[MetricSeriesKey]:
        """See `storage.metric_ports.MetricHistory.metric_series`."""
        limit = self._settings.max_read_points
        return await self.database.read(lambda connection: metric_series_in(connection, (start_s, end_s), where, limit))

    async def read(
        self,
        start_s: int,
        end_s: int,
        where: SeriesFilter,
        width_s: int | None = None,
        by: Collection[str] | None = None,
    ) -> RedColumns:
        """See `storage.ports.History.read`."""
        cleaned = clean_filter(where, self._settings.max_field_chars)
        is_summed = by is not None and are_enough_for({*by, *cleaned.wanted()})
        rank = max((tier.rank for tier in self.tiers if tier.width_s <= (width_s or 0)), default=FINEST)
        return await self.database.read(
            lambda connection: read_points(
                connection,
                self.database.dialect,
                self.tiers,
                self.catalog,
                start_s,
                end_s,
                cleaned,
                rank,
                self._settings.max_read_points,
                is_summed=is_summed,
            )
        )

    async def kept(self) -> list[KeptTier]:
        """See `storage.ports.History.kept`."""
        held = await self.database.read(read_held)
        return [KeptTier(tier.width_s, held[tier.rank].retired_to_s) for tier in self.tiers]

    async def call_totals(self, start_s: int, end_s: int) -> dict[int, CallTotal]:
        """See `storage.ports.History.call_totals`."""
        return await self.database.read(lambda connection: call_totals(connection, start_s, end_s))

    async def oldest_s(self) -> int | None:
        """See `storage.ports.History.oldest_s`."""
        return await self.database.read(oldest_s)

    async def check(self) -> None:
        """See `storage.ports.History.check`."""
        await self.database.read(lambda connection: connection.scalar(select(1)))

    def _commit(
        self,
        batch_ids: Sequence[bytes],
        points: Sequence[RedPoint],
        now_s: int,
        connection: Connection,
        metrics: Sequence[MetricPoint] = (),
        instance_rows: Rows = (),
        spans: Sequence[KeptSpan] = (),
    ) -> tuple[set[int], set[int]]:
        """Commit; return the ids of the series that were noted, of RED points and of metrics."""
        width_s, statements = self._settings.resolution_s, self._statements
        rows, named = rows_of(points, width_s, self.catalog)
        metric_rows, metric_names = metric_rows_of(metrics, width_s, self._metric_catalog)
        to_note = self.catalog.to_note(named, now_s), self._metric_catalog.to_note(metric_names, now_s)
        noting = [(of, *named[of], now_s) for of in sorted(to_note[0])]
        metrics_noting = [(of, *metric_names[of], now_s, now_s) for of in sorted(to_note[1])]
        due_s = self.tiers[MEDIUM].width_s
        due = sorted({floor_to(row.start_s, due_s) for of_kind in (rows, metric_rows) for row in of_kind})
        marks = [Mark(due_s, start_s, self.writer, now_s, new_token()) for start_s in due]
        parts = [Part(statements.red, rows, noting), Part(statements.metrics, metric_rows, metrics_noting)]
        span_rows = span_rows_of(spans, self._settings.max_field_chars)
        commit(connection, statements, batch_ids, parts, marks, instance_rows, span_rows, now_s)
        return to_note

    def _cleaned(self, where: SpanFilter) -> SpanFilter:
        texts: dict[str, Any] = {
            name: clean_text(text, self._settings.max_field_chars)
            for name in where.__slots__
            if isinstance(text := getattr(where, name), str)
        }
        return replace(where, **texts)

    async def _migrate_when_it_answers(self) -> None:
        dialect = self.database.dialect
        deadline = time.monotonic() + (self._settings.start_timeout_s if dialect.is_remote else 0.0)
        while True:
            try:
                return await self.database.write(self._migrate, _MIGRATION_TIMEOUT_S)
            except StorageUnavailableError as error:
                if time.monotonic() >= deadline:
                    raise StartError(f"{error}: see to it, or set MODELWATCH_DATABASE_URL") from error
                log.info("waiting for the database", reason=str(error))
                await asyncio.sleep(_START_RETRY_S)

    def _migrate(self, connection: Connection) -> None:
        dialect = self.database.dialect
        dialect.lock_schema(connection)
        migrate(connection, dialect.ddl_words)
        set_up_tiers(connection, dialect, self.tiers, self._now_ns() // _NS_PER_S)
