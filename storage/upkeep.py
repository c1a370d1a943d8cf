"""The duties of the history that must be done once, whoever does them: rolling up, deleting, partitions, the disk.

A component that runs beside every processor; none is special. Each step is one transaction that holds the database's
own lock for such work (on SQLite the only write lock there is), so that two never do the same at once, and a holder
that dies loses the lock with its transaction: the next look of any other goes on, within seconds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final, TypeVar

import structlog
from sqlalchemy import Connection

from storage.clock import DatabaseClock
from storage.dialects import Space
from storage.disk_guard import DiskGuard
from storage.history import SqlHistory
from storage.instances import delete_crowding_instances
from storage.partitions import extend_partitions
from storage.reads import read_held
from storage.retention import cutoffs_at, delete_expired
from storage.retirement import Retired, next_cutoff, retire_partitions, retire_rows
from storage.rollups import Bucket, Gathered, OutdatedError, count_due, due_buckets, gather, store
from storage.settings import StorageSettings
from storage.tasks import end_task
from storage.tier_sizes import LARGEST_COUNTED_BYTES, TIER_NAMES, TRACES, tier_sizes
from storage.tiers import tiers_of
from telemetry import Counters, ModelWatchError, NowNs, RetryableError
from telemetry.counters import CounterName

log = structlog.get_logger(__name__)

Result = TypeVar("Result")
_NS_PER_S: Final = 1_000_000_000
_PAUSE_S: Final = 0.05
_STEP_TIMEOUT_S: Final = 300.0
"""A bucket of many series takes a while, and nobody waits for it."""
_SIZES_EVERY_S: Final = 600
_BUCKETS_AT_ONCE: Final = 200
_COUNTED: Final[Sequence[CounterName]] = (
    "storage_rolled_up_buckets",
    "storage_expired_rows",
    "storage_dropped_partitions",
    "storage_thinnings",
)
_UNKNOWN: Final = Space(0, None)


class BusyError(Exception):
    """Another process is at the same duty."""


class Upkeep:
    """Does the duties in the background from `start` to `stop`."""

    def __init__(
        self, settings: StorageSettings, history: SqlHistory, counters: Counters, now_ns: NowNs = time.time_ns
    ) -> None:
        self._settings = settings
        self._history = history
        self._database = history.database
        self._dialect = history.database.dialect
        self._tiers = history.tiers
        self._counters = counters
        self._now_ns = now_ns
        self.clock = DatabaseClock(settings, history.database, counters, now_ns)
        self._guard = DiskGuard(settings)
        self._space = _UNKNOWN
        self._due = 0
        self._sizes: Mapping[str, int] = {}
        self._next_sizes_s = 0
        self._task: asyncio.Task[None] | None = None
        for name in _COUNTED:
            counters.declare(name)
        counters.observe("storage_due_rollups", lambda: self._due)
        counters.observe("storage_database_bytes", lambda: self._space.database_bytes)
        for rank, tier in enumerate(TIER_NAMES):
            counters.observe("storage_tier_retention_s", partial(self._retention_s, rank), tier=tier)
        counters.observe("storage_tier_retention_s", lambda: self._settings.traces_retention_s, tier=TRACES)
        if not self._dialect.is_remote:
            counters.observe("storage_free_bytes", lambda: self._space.free_bytes or 0)
            counters.observe("storage_warn_free_bytes", lambda: settings.warn_free_bytes)
            counters.observe("storage_min_free_bytes", lambda: settings.min_free_bytes)
        elif (largest := settings.max_database_bytes) is not None:
            counters.observe("storage_max_database_bytes", lambda: largest)

    def use(self, settings: StorageSettings) -> None:
        """Keep for as long as these settings say from now on; what is deleted by then does not come back."""
        self._settings = settings
        self._tiers = tiers_of(settings)
        self._history.traces.use(settings)

    async def start(self) -> None:
        """Begin the first round."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="upkeep")

    async def stop(self) -> None:
        """End at once; a transaction under way is finished by the history."""
        task, self._task = self._task, None
        if task is not None:
            await end_task(task)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        next_round = loop.time()
        while True:
            try:
                await self.roll_up()
                if loop.time() >= next_round:
                    next_round = loop.time() + self._settings.retention_interval_s
                    if await self.clock.is_right():
                        await self.delete_expired()
            except BusyError:
                pass  # and the other one does it
            except ModelWatchError as error:
                log.warning("upkeep of the history failed, it will be tried again", reason=str(error))
            except Exception:
                log.exception("upkeep of the history failed, it will be tried again")
            await asyncio.sleep(min(self._settings.rollup_interval_s, self._settings.retention_interval_s))

    async def roll_up(self) -> int:
        """Roll up what is due; return how many buckets that were. What others changed meanwhile is left for later.

        A bucket that cannot be rolled up, as a row of it cannot be read, stays due and keeps no other from it.
        """
        rolled = 0
        while True:
            look = partial(
                due_buckets,
                tiers=self._tiers,
                now_s=self._now_s(),
                grace_s=self._settings.rollup_grace_s,
                at_most=_BUCKETS_AT_ONCE,
            )
            buckets = await self._database.read(look)
            done = sum([await self._roll_up_if_readable(bucket) for bucket in buckets])
            rolled += done
            if not done:
                self._due = await self._database.read(count_due)
                return rolled

    async def delete_expired(self) -> int:
        """Make partitions ahead, delete all that is too old now, and mind the disk; return how many rows went.

        A partition counts as no row.
        """
        now_s = self._now_s()
        if self._dialect.is_partitioned:
            for tables in (*self._tiers, self._history.traces):
                await self._write(partial(extend_partitions, tier=tables, now_s=now_s))
        cutoffs = cutoffs_at(now_s, self._tiers, self._settings)
        total = sum([await self._retire(tier.rank, cutoffs.points_s[tier.rank]) for tier in self._tiers])
        remove = partial(delete_expired, cutoffs=cutoffs, max_rows=self._settings.retention_chunk_rows)
        while deleted := await self._write(remove):
            total += deleted
            self._counters.add("storage_expired_rows", deleted)
            await asyncio.sleep(_PAUSE_S)
        keep_latest = partial(
            delete_crowding_instances,
            max_per_service=self._settings.max_instances_per_service,
            max_instances=self._settings.max_instances,
        )
        if crowding := await self._write(keep_latest):
            total += crowding
            self._counters.add("storage_expired_rows", crowding)
        total += await self._shorten_traces(now_s)
        await self._thin(now_s)
        await self._look_at_sizes(now_s)
        if total:
            log.info("old data deleted", rows=total)
        return total

    async def _roll_up_if_readable(self, bucket: Bucket) -> bool:
        try:
            return await self._roll_up(bucket)
        except (BusyError, RetryableError):
            raise
        except Exception:
            log.exception("a bucket cannot be rolled up", start_s=bucket.start_s, rank=bucket.rank)
            return False

    async def _roll_up(self, bucket: Bucket) -> bool:
        dialect, tiers, catalog = self._dialect, self._tiers, self._history.catalog

        def read(connection: Connection) -> Gathered | None:
            return gather(connection, dialect, tiers, catalog, bucket)

        def keep(connection: Connection, gathered: Gathered) -> None:
            store(connection, dialect, tiers, catalog, gathered, self._history.writer, self._now_s())

        def both(connection: Connection) -> bool:
            gathered = read(connection)
            if gathered is not None:
                keep(connection, gathered)
            return gathered is not None

        try:
            if self._dialect.is_remote:
                done = await self._write(both)
            else:
                # SQLite has one writer: reading is done before its lock is taken, so that commits need not wait.
                gathered = await self._database.read(read, _STEP_TIMEOUT_S)
                if gathered is not None:
                    await self._write(partial(keep, gathered=gathered))
                done = gathered is not None
        except OutdatedError:
            return False
        self._counters.add("storage_rolled_up_buckets", int(done))
        return done

    async def _retire(self, rank: int, before_s: int) -> int:
        """Delete what a tier holds of before a time, step by step; return how many rows that were."""
        step = partial(retire_partitions, tiers=self._tiers, rank=rank, before_s=before_s)
        if not self._dialect.is_partitioned:
            step = partial(
                retire_rows,
                tiers=self._tiers,
                rank=rank,
                before_s=before_s,
                max_rows=self._settings.retention_chunk_rows,
            )
        total, retired = 0, Retired(has_more=True)
        while retired.has_more:
            retired = await self._write(step)
            total += retired.rows
            self._counters.add("storage_expired_rows", retired.rows)
            self._counters.add("storage_dropped_partitions", retired.partitions)
            if retired.has_more and retired.rows:
                await asyncio.sleep(_PAUSE_S)
        return total

    async def _thin(self, now_s: int) -> None:
        """Delete the oldest figures while space is short, of the finest tier first, as long as there are any to go."""
        while True:
            self._space = await self._database.read(self._dialect.measure)
            if not self._guard.is_too_full(self._space):
                return
            if await self._thin_traces():
                continue
            for tier in self._tiers:
                if await self._thin_tier(tier.rank, now_s):
                    break
            else:
                log.error("the database is too large, and nothing is left that may be deleted")
                return

    async def _look_at_sizes(self, now_s: int) -> None:
        """Note how large each tier is; on SQLite seldom, as every page is looked at, and not in a large file."""
        if not self._dialect.is_partitioned:
            if now_s < self._next_sizes_s or self._space.database_bytes > LARGEST_COUNTED_BYTES:
                return
            self._next_sizes_s = now_s + _SIZES_EVERY_S
        look = partial(tier_sizes, dialect=self._dialect, tiers=self._tiers, traces=self._history.traces.tables)
        self._sizes = await self._database.read(look, _STEP_TIMEOUT_S)
        for tier in self._sizes:
            self._counters.observe("storage_tier_bytes", partial(self._size_of, tier), tier=tier)

    def _retention_s(self, rank: int) -> int:
        return self._tiers[rank].retention_s

    def _size_of(self, tier: str) -> int:
        return self._sizes.get(tier, 0)

    async def _shorten_traces(self, now_s: int) -> int:
        """Delete kept spans that are too old, and the oldest of those that take up too much; return how many rows."""
        traces, total = self._history.traces, 0
        find = partial(traces.cutoff_s, dialect=self._dialect, now_s=now_s)
        before_s = await self._database.read(find, _STEP_TIMEOUT_S)
        while True:
            gone = await self._write(partial(traces.delete_before, dialect=self._dialect, before_s=before_s))
            total += gone.rows
            self._counters.add("storage_expired_rows", gone.rows)
            self._counters.add("storage_dropped_partitions", gone.partitions)
            if not gone.has_more:
                return total
            await asyncio.sleep(_PAUSE_S)

    async def _thin_traces(self) -> bool:
        """Delete the oldest kept spans, as space is short: figures are worth more. Tell whether any went."""
        gone = await self._write(partial(self._history.traces.delete_oldest, dialect=self._dialect))
        self._counters.add("storage_expired_rows", gone.rows)
        self._counters.add("storage_dropped_partitions", gone.partitions)
        return bool(gone.rows or gone.partitions)

    async def _thin_tier(self, rank: int, now_s: int) -> bool:
        find = partial(
            next_cutoff, tiers=self._tiers, rank=rank, is_partitioned=self._dialect.is_partitioned, now_s=now_s
        )
        before_s = await self._database.read(find)
        if before_s is None:
            return False
        retired_s = (await self._database.read(read_held))[rank].retired_to_s
        await self._retire(rank, before_s)
        if (await self._database.read(read_held))[rank].retired_to_s == retired_s:
            return False  # what is due may not go, and will be rolled up first
        width_s = self._tiers[rank].width_s
        self._counters.add("storage_thinnings")
        log.warning("figures deleted before their age, as space is short", width_s=width_s, before_s=before_s)
        return True

    async def _write(self, job: Callable[[Connection], Result]) -> Result:
        def with_lock(connection: Connection) -> Result:
            if not self._dialect.try_lock_upkeep(connection):
                raise BusyError
            return job(connection)

        return await self._database.write(with_lock, _STEP_TIMEOUT_S)

    def _now_s(self) -> int:
        return self._now_ns() // _NS_PER_S
