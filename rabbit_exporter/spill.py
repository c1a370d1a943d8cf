"""Keeps batches on disk while RabbitMQ cannot take them: `append` returns when the batch is synced.

Stands beside the publisher in the exporter; the drain takes out again what it holds, in the order of writing.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import structlog

from rabbit_exporter.open_slot import OpenSlot, open_orphans, open_own
from rabbit_exporter.segment_name import Position
from rabbit_exporter.segment_writer import Sync
from rabbit_exporter.settings import RabbitExporterSettings
from rabbit_exporter.spill_record import record_bytes_of
from rabbit_exporter.spill_store import Held, SpillStore
from rabbitmq import Verdict
from telemetry import Batch, Counters, RetryableError, Signal

_log = structlog.get_logger(__name__)

_READ_BYTES: Final = 1024**2
_STOP_TIMEOUT_S: Final = 3.0
T = TypeVar("T")


@dataclass(slots=True)
class _Waiting:
    batch: Batch
    verdict: Verdict | None
    is_kept: asyncio.Future[RetryableError | None]


class Spill:
    """A component. One thread does all work on files: many batches share one sync, and nothing needs locks."""

    def __init__(
        self, root: Path, settings: RabbitExporterSettings, counters: Counters, sync: Sync = os.fdatasync
    ) -> None:
        self._root = root
        self._settings = settings
        self._counters = counters
        self._sync = sync
        self._thread: ThreadPoolExecutor | None = None
        self._own: OpenSlot | None = None
        self._adopted: list[OpenSlot] = []
        self._waiting: list[_Waiting] = []
        self._waiting_bytes = 0
        self._writing: asyncio.Task[None] | None = None
        self._late: dict[Position, Verdict] = {}
        self._trouble = ""
        self._full_at = settings.spill_max_bytes
        self.arrived = asyncio.Event()
        """Set whenever a batch was written."""

    @property
    def is_empty(self) -> bool:
        """Whether no batch is held."""
        return not any(self.batches(signal) for signal in Signal)

    @property
    def has_room(self) -> bool:
        """Whether the next batch is likely to be taken."""
        return self._own is not None and not self._trouble and self._bytes_used() < self._full_at

    def batches(self, signal: Signal) -> int:
        """Return how many batches of a signal are held, in slots of dead processes too."""
        return sum(opened.store.batches[signal] for opened in self._opened())

    def held_bytes(self) -> int:
        """Return the size of all segments on the disk."""
        return sum(opened.store.held_bytes for opened in self._opened())

    async def start(self) -> None:
        """Claim a slot and learn what it and those of dead processes hold. Raises `StartError`."""
        if self._thread is not None:
            return
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spill")
        try:
            self._own = await self._run(open_own, self._root, self._settings, self._sync)
            self._count_recovered(self._own)
            await self.adopt()
        except BaseException:
            await self.stop()
            raise
        if not self.is_empty:
            _log.warning("the spill holds batches from before", folder=str(self._root), bytes=self.held_bytes())

    async def stop(self) -> None:
        """Finish what is being written; the rest stays on the disk for the next start."""
        opened, self._own, self._adopted = self._opened(), None, []
        thread, self._thread = self._thread, None
        self._late.clear()
        if thread is None:
            return
        loop = asyncio.get_running_loop()
        closing = [loop.run_in_executor(thread, one.close) for one in opened]
        thread.shutdown(wait=False)
        last = {*closing, *([self._writing] if self._writing is not None else [])}
        late = (await asyncio.wait(last, timeout=_STOP_TIMEOUT_S))[1] if last else set()
        if late:
            _log.error("the spill's disk does not answer", folder=str(self._root))
        for job in late:
            job.cancel()

    async def append(self, batch: Batch, verdict: Verdict | None = None) -> None:
        """Return once the batch is on the disk. Raises `RetryableError` when it is not, or when that is not known.

        `verdict` is that of a publish which took too long: should RabbitMQ confirm it after all, the drain need not
        repeat it.
        """
        size = record_bytes_of(batch)
        if self._own is None:
            raise RetryableError("the spill is closed")
        if self._bytes_used() + size > self._settings.spill_max_bytes:
            self._full_at = self._bytes_used()
            raise RetryableError("the spill is full")
        if self._waiting_bytes and self._waiting_bytes + size > self._settings.max_unconfirmed_bytes:
            raise RetryableError("too many batches wait for the spill's disk")
        waiting = _Waiting(batch, verdict, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._waiting_bytes += size
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write(self._own.store), name="write to the spill")
        await asyncio.wait({waiting.is_kept}, timeout=self._settings.publish_timeout_s)
        if not waiting.is_kept.done():
            raise RetryableError(f"the spill's disk did not answer within {self._settings.publish_timeout_s:g} s")
        error = waiting.is_kept.result()
        if error is not None:
            raise error

    async def adopt(self) -> None:
        """Take over what dead processes left, to be drained with the rest."""
        try:
            adopted = await self._run(open_orphans, self._root, self._opened(), self._settings, self._sync)
        except OSError as error:
            _log.error("cannot look for spills of dead processes", folder=str(self._root), error=str(error))
            return
        self._adopted += adopted
        for opened in adopted:
            self._count_recovered(opened)

    def stores(self) -> list[SpillStore]:
        """Return what there is to drain: the slot of this process first."""
        return [opened.store for opened in self._opened()]

    async def rewind(self, store: SpillStore) -> None:
        """Read anew what was read and not noted as done."""
        await self._run(store.rewind)

    async def turn(self, store: SpillStore, done: Sequence[Held], max_batches: int) -> list[Held]:
        """Note the next in order as `done`, and return what follows what was read last."""
        damaged = store.damaged
        found = await self._run(_turn, store, done, max_batches)
        if store.damaged > damaged:
            self._counters.add("spill_quarantined_records", store.damaged - damaged)
        return found

    async def set_aside(self, store: SpillStore, held: Held, reason: str) -> None:
        """Put a batch that RabbitMQ refuses for good into quarantine."""
        await self._run(store.set_aside, held, reason)
        self._counters.add("spill_quarantined_records")

    async def retire(self, store: SpillStore) -> None:
        """Give back the disk of a store that was drained, and the slot if it was adopted."""
        await self._run(store.retire)
        for opened in list(self._adopted):
            if opened.store is store:
                self._adopted.remove(opened)
                await self._run(opened.close)

    def late_verdict(self, store: SpillStore, held: Held) -> Verdict | None:
        """Return the verdict of the publish that this batch was spilled after, if there was one; once."""
        if self._own is None or store is not self._own.store:
            return None
        return self._late.pop(held.start, None)

    async def _write(self, store: SpillStore) -> None:
        while self._waiting:
            group = self._next_group()
            try:
                places = await self._run(store.add, [waiting.batch for waiting in group])
            except asyncio.CancelledError:
                self._refuse([*group, *self._waiting], OSError("the disk does not answer"))
                raise
            except Exception as error:
                self._refuse(group, error)
            else:
                self._accept(group, places)
            self._waiting_bytes -= sum(record_bytes_of(waiting.batch) for waiting in group)

    def _next_group(self) -> list[_Waiting]:
        """Take what waits, up to about a segment: all of it shares one sync."""
        size = count = 0
        while count < len(self._waiting) and size < self._settings.spill_segment_bytes:
            size += record_bytes_of(self._waiting[count].batch)
            count += 1
        group, self._waiting = self._waiting[:count], self._waiting[count:]
        return group

    def _accept(self, group: list[_Waiting], places: list[Position]) -> None:
        self._trouble, self._full_at = "", self._settings.spill_max_bytes
        for waiting, place in zip(group, places, strict=True):
            signal = waiting.batch.signal
            self._counters.add("spill_written_batches", signal=signal)
            self._counters.add("spill_written_items", waiting.batch.item_count, signal=signal)
            if waiting.verdict is not None:
                self._late[place] = waiting.verdict
            if not waiting.is_kept.done():
                waiting.is_kept.set_result(None)
        self.arrived.set()

    def _refuse(self, group: list[_Waiting], error: Exception) -> None:
        is_of_the_disk = isinstance(error, OSError)
        reason = (error.strerror or str(error)) if isinstance(error, OSError) else type(error).__name__
        if not self._trouble:
            _log.error(
                "cannot write to the spill",
                folder=str(self._root),
                reason=reason,
                exc_info=None if is_of_the_disk else error,
            )
        self._trouble = reason
        for waiting in group:
            if not waiting.is_kept.done():
                waiting.is_kept.set_result(RetryableError(f"the spill cannot be written to: {reason}"))

    def _count_recovered(self, opened: OpenSlot) -> None:
        for signal, batches in opened.store.batches.items():
            self._counters.add("spill_recovered_batches", batches, signal=signal)

    def _opened(self) -> list[OpenSlot]:
        return [*([self._own] if self._own is not None else []), *self._adopted]

    def _bytes_used(self) -> int:
        own = self._own.store.held_bytes if self._own is not None else 0
        return own + self._waiting_bytes

    async def _run(self, job: Callable[..., T], *arguments: Any) -> T:
        if self._thread is None:
            raise RetryableError("the spill is closed")
        return await asyncio.get_running_loop().run_in_executor(self._thread, job, *arguments)


def _turn(store: SpillStore, done: Sequence[Held], max_batches: int) -> list[Held]:
    store.finish(done)
    return store.read(max_batches, _READ_BYTES) if max_batches else []
