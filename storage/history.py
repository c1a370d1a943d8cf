"""The history on SQLAlchemy Core: one component for SQLite and PostgreSQL.

The processor commits to it, query reads from it; it joins the database, the statements and the memory of series.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import partial

import structlog
from sqlalchemy import URL, Connection, select

from storage.carry_over import set_up_tiers
from storage.commits import Mark, commit, commit_statements, new_token, rows_of
from storage.database import Database
from storage.dialects import Dialect
from storage.live_window import CallTotal
from storage.migrations import migrate
from storage.ports import KeptTier, SeriesFilter, StorageUnavailableError
from storage.reads import call_totals, oldest_s, read_held, read_points
from storage.sanitising import clean_filter
from storage.series_catalog import SeriesCatalog
from storage.settings import StorageSettings
from storage.tiers import FINEST, MEDIUM, floor_to, tiers_of
from telemetry import NowNs, RedColumns, RedPoint, StartError

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
        self.writer = new_token()
        """By what this process's marks are told from those of others."""
        self._statements = commit_statements(dialect)
        self._catalog = SeriesCatalog(settings.max_cached_series, settings.max_field_chars)

    @property
    def resolution_s(self) -> int:
        """The width in seconds of the buckets that points are kept in."""
        return self._settings.resolution_s

    async def start(self) -> None:
        """Connect and bring the schema up to date. Waits a while for a server that is still coming up."""
        if self.database.is_open:
            return
        self.database.open()
        self._catalog.forget_noted()
        try:
            await self._migrate_when_it_answers()
        except BaseException:
            await self.database.close()
            raise

    async def stop(self) -> None:
        """Let what runs end, within a few seconds, and close the connections."""
        await self.database.close()

    async def commit(self, batch_ids: Sequence[bytes], points: Sequence[RedPoint]) -> None:
        """See `storage.ports.History.commit`."""
        if not batch_ids and not points:
            return
        now_s = self._now_ns() // _NS_PER_S
        noted = await self.database.write(partial(self._commit, sorted(set(batch_ids)), points, now_s))
        self._catalog.noted(noted, now_s)

    async def read(self, start_s: int, end_s: int, where: SeriesFilter, width_s: int | None = None) -> RedColumns:
        """See `storage.ports.History.read`."""
        cleaned = clean_filter(where, self._settings.max_field_chars)
        rank = max((tier.rank for tier in self.tiers if tier.width_s <= (width_s or 0)), default=FINEST)
        return await self.database.read(
            lambda connection: read_points(
                connection,
                self.database.dialect,
                self.tiers,
                self._catalog,
                start_s,
                end_s,
                cleaned,
                rank,
                self._settings.max_read_points,
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
        self, batch_ids: Sequence[bytes], points: Sequence[RedPoint], now_s: int, connection: Connection
    ) -> set[int]:
        rows, named = rows_of(points, self._settings.resolution_s, self._catalog)
        to_note = self._catalog.to_note(named, now_s)
        noting = sorted((series_id, named[series_id]) for series_id in to_note)
        width_s = self.tiers[MEDIUM].width_s
        due = sorted({floor_to(row.start_s, width_s) for row in rows})
        marks = [Mark(width_s, start_s, self.writer, now_s, new_token()) for start_s in due]
        commit(connection, self._statements, batch_ids, rows, marks, noting, now_s)
        return to_note

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
