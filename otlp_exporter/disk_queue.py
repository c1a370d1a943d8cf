"""The queues of all targets on disk, without RabbitMQ: each body once, however many wait for it.

Written to by the intake, read by the feeds. One thread does all work on the files: what was offered and what was
finished meanwhile shares one commit, and one sync.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import structlog

from otlp_exporter.disk_tables import DiskTables, Dropped, Entry, read_batch
from otlp_exporter.target_settings import TargetSettings
from telemetry import Batch, Counters, NowNs, RetryableError, StartError

_log = structlog.get_logger(__name__)

FILE: Final = "forwarding.db"
_STOP_TIMEOUT_S: Final = 5.0
_EXPIRE_EVERY_S: Final = 5.0
T = TypeVar("T")


@dataclass(slots=True)
class _Offer:
    batch: Batch
    targets: Collection[str]
    done: asyncio.Future[None]


class DiskQueue:
    """A component, started before those that use it."""

    def __init__(
        self, folder: Path, targets: Sequence[TargetSettings], counters: Counters, now_ns: NowNs = time.time_ns
    ) -> None:
        self._path = folder / FILE
        self._targets = targets
        self._counters = counters
        self._now_ns = now_ns
        self._thread: ThreadPoolExecutor | None = None
        self._tables: DiskTables | None = None
        self._offers: list[_Offer] = []
        self._finished: list[tuple[str, int]] = []
        self._writing: asyncio.Task[None] | None = None
        self._upkeep: asyncio.Task[None] | None = None
        self.arrived: Mapping[str, asyncio.Event] = {target.name: asyncio.Event() for target in targets}
        """By target; set whenever something was written for it."""
        for target in targets:
            self._observe(target.name)

    async def start(self) -> None:
        """Open the file and learn what it holds. Raises `StartError`."""
        if self._thread is not None:
            return
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="forwarding")
        try:
            self._tables = await self._run(DiskTables.open, self._path, self._targets)
        except (OSError, sqlite3.Error) as error:
            self._thread.shutdown()
            self._thread = None
            raise StartError(
                f"cannot keep what is to be forwarded in {self._path} ({error}): give this user the right to, set "
                "MODELWATCH_DATA_DIR, or move the file away"
            ) from None
        self._upkeep = asyncio.create_task(self._expire(), name="expire what waits to be forwarded")

    async def stop(self) -> None:
        """Write what is in hand and close the file."""
        upkeep, self._upkeep = self._upkeep, None
        if upkeep is not None:
            upkeep.cancel()
            await asyncio.wait({upkeep})
        if self._thread is None:
            return
        self._begin_writing()
        if self._writing is not None:
            await asyncio.wait({self._writing}, timeout=_STOP_TIMEOUT_S)
            self._writing.cancel()
        tables, self._tables = self._tables, None
        thread, self._thread = self._thread, None
        if tables is not None:
            await asyncio.get_running_loop().run_in_executor(thread, tables.close)
        thread.shutdown(wait=False)
        for offer in self._offers:
            offer.done.cancel()
        self._offers.clear()

    async def offer(self, batch: Batch, targets: Collection[str]) -> None:
        """Return once the batch is synced to the disk for these targets, or cannot be, which is counted and said.

        A queue that is full drops its oldest for it: who offers is never refused.
        """
        if self._tables is None:
            raise RetryableError("forwarding is not running")
        offer = _Offer(batch, targets, asyncio.get_running_loop().create_future())
        self._offers.append(offer)
        self._begin_writing()
        await offer.done

    async def read(self, target: str, after: int, limit: int) -> list[Entry]:
        """Return the oldest entries of a target's queue beyond the number `after`."""
        tables = self._tables
        return [] if tables is None else await self._run(tables.read, target, after, limit)

    async def batch_of(self, entry: Entry) -> Batch | None:
        """Return the batch of an entry with its body, or `None` if that is gone or damaged."""
        return await self._run(read_batch, self._path.parent, entry)

    def drop(self, target: str, entry: Entry, reason: str) -> None:
        """Take an entry out that cannot be forwarded, and count it."""
        self._count_dropped([Dropped(target, entry.batch.signal, entry.batch.item_count, reason)])
        self.finish(target, entry.number)

    def finish(self, target: str, number: int) -> None:
        """Take an entry out, with the next commit: a process that dies before it forwards it again."""
        self._finished.append((target, number))
        self._begin_writing()

    def _begin_writing(self) -> None:
        is_due = self._offers or self._finished
        if is_due and self._thread is not None and (self._writing is None or self._writing.done()):
            self._writing = asyncio.create_task(self._write(), name="write what is to be forwarded")

    async def _write(self) -> None:
        while (self._offers or self._finished) and self._tables is not None:
            offers, self._offers = self._offers, []
            finished, self._finished = self._finished, []
            try:
                is_taken_out = await self._write_once(self._tables, offers, finished)
            finally:
                for offer in offers:
                    if not offer.done.done():
                        offer.done.set_result(None)
            for name in {name for offer in offers for name in offer.targets}:
                self.arrived[name].set()
            if not is_taken_out and not self._offers:
                return  # the disk takes nothing: with the next offer, or when it is tidied

    async def _write_once(
        self, tables: DiskTables, offers: Sequence[_Offer], finished: Sequence[tuple[str, int]]
    ) -> bool:
        """Write both, or what is finished alone; return whether that is out, and not kept for later."""
        entries = [(offer.batch, offer.targets) for offer in offers]
        try:
            self._count_dropped(await self._run(tables.write, entries, finished))
            return True
        except (sqlite3.Error, OSError) as error:
            # The batches are safe where ModelWatch itself keeps them: only their copies are lost.
            _log.error("cannot write what is to be forwarded", file=str(self._path), reason=str(error))
            self._count_dropped(
                [
                    Dropped(name, one.batch.signal, one.batch.item_count, "disk")
                    for one in offers
                    for name in one.targets
                ]
            )
            return await self._take_out(tables, finished)

    async def _take_out(self, tables: DiskTables, finished: Sequence[tuple[str, int]]) -> bool:
        try:
            # By itself: it gives a full disk room.
            self._count_dropped(await self._run(tables.write, [], finished))
        except (sqlite3.Error, OSError):
            self._finished = [*finished, *self._finished]
            return not finished
        return True

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(_EXPIRE_EVERY_S)
            if self._tables is None:
                return
            try:
                self._count_dropped(await self._run(self._tables.expire, self._now_ns()))
            except sqlite3.Error as error:
                _log.error("cannot tidy what is to be forwarded", file=str(self._path), reason=str(error))
            self._begin_writing()

    def _count_dropped(self, dropped: Sequence[Dropped]) -> None:
        for one in dropped:
            labels = {"target": one.target, "signal": one.signal.value, "reason": one.reason}
            self._counters.add("forward_dropped_items", one.items, **labels)

    def _observe(self, name: str) -> None:
        def oldest_s() -> float:
            received_ns = self._tables.oldest_received_ns(name) if self._tables else None
            return 0.0 if received_ns is None else max(0.0, (self._now_ns() - received_ns) / 1e9)

        self._counters.observe("forward_backlog_batches", lambda: self._held(name)[0], target=name)
        self._counters.observe("forward_backlog_bytes", lambda: self._held(name)[1], target=name)
        self._counters.observe("forward_backlog_oldest_s", oldest_s, target=name)

    def _held(self, name: str) -> tuple[int, int]:
        return self._tables.held(name) if self._tables else (0, 0)

    async def _run(self, job: Callable[..., T], *arguments: Any) -> T:
        assert self._thread is not None
        return await asyncio.get_running_loop().run_in_executor(self._thread, job, *arguments)
