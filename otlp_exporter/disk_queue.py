"""The queues of all targets on disk, without RabbitMQ: each batch once, however many wait for it.

Written to by the intake, read by the feeds. One thread does all work on files. Who waits for what is known in memory,
and found again in the files after any end.
"""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import structlog

from otlp_exporter.disk_files import FOLDER, Segment, read_batch
from otlp_exporter.disk_line import Dropped, Line, Record
from otlp_exporter.disk_record import done_mark, kept_mark
from otlp_exporter.disk_segments import DiskSegments
from otlp_exporter.disk_survey import load
from otlp_exporter.disk_upgrade import INDEX
from otlp_exporter.disk_writing import GroupWriter, Offer
from otlp_exporter.target_settings import TargetSettings
from telemetry import Batch, Counters, NowNs, RetryableError, StartError

_log = structlog.get_logger(__name__)

_EXPIRE_EVERY_S: Final = 5.0
_MARK_EVERY_S: Final = 0.25
_ROOM_EVERY_S: Final = 1.0
T = TypeVar("T")


class DiskQueue:
    """A component, started before those that use it."""

    def __init__(
        self, folder: Path, targets: Sequence[TargetSettings], counters: Counters, now_ns: NowNs = time.time_ns
    ) -> None:
        self._data_dir = folder
        self._folder = folder / FOLDER
        self._targets = targets
        self._counters = counters
        self._now_ns = now_ns
        self._thread: ThreadPoolExecutor | None = None
        self._segments: DiskSegments | None = None
        self._lines: dict[str, Line] = {}
        self._numbers = itertools.count(1)
        self._writer: GroupWriter | None = None
        self._marks: defaultdict[Segment, bytearray] = defaultdict(bytearray)
        self._free: list[Segment] = []
        self._is_untidy = False
        self._upkeep: asyncio.Task[None] | None = None
        self.undecided: list[Record] = []
        """Found at the start: written, and perhaps not stored by ModelWatch, as its process ended amid it."""
        self.arrived: Mapping[str, asyncio.Event] = {target.name: asyncio.Event() for target in targets}
        """By target; set whenever something was written for it."""
        for target in targets:
            self._observe(target.name)

    async def start(self) -> None:
        """Open the folder and learn what it holds. Raises `StartError`."""
        if self._thread is not None:
            return
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="forwarding")
        segments = DiskSegments(self._folder)
        try:
            found = await self._run(load, self._data_dir, segments, [target.name for target in self._targets])
        except (OSError, sqlite3.Error) as error:
            await self._run(segments.close)
            self._thread.shutdown()
            self._thread = None
            raise self._start_error(error) from None
        self._lines = {target.name: Line(target) for target in self._targets}
        self.undecided = found.undecided
        for record, names in found.waiting:
            # What was in hand was beside the limit, and is again before the next is added.
            self._enqueue(record, names, shrinks=False)
        self._count_dropped(found.dropped)
        self._marks.update(found.marks)
        self._free += found.free
        self._segments = segments
        self._writer = GroupWriter(segments, self._run, self.forget, partial(self._free_closed, segments))
        self._upkeep = asyncio.create_task(self._keep_up(), name="keep up what waits to be forwarded")

    def _start_error(self, error: Exception) -> StartError:
        if isinstance(error, sqlite3.Error):
            return StartError(
                f"cannot move what an earlier version left to be forwarded in {self._data_dir / INDEX} ({error}): end "
                "that version if it still runs, or move this file, and those of its name with -wal and -shm, away: "
                "what waits in it is not forwarded then"
            )
        return StartError(
            f"cannot keep what is to be forwarded in {self._folder} ({error}): end what else uses it, give this "
            "user the right to, set MODELWATCH_DATA_DIR, or move the folder away"
        )

    async def stop(self) -> None:
        """Write what is in hand and close the files."""
        upkeep, self._upkeep = self._upkeep, None
        if upkeep is not None:
            upkeep.cancel()
            await asyncio.wait({upkeep})
        if self._thread is None:
            return
        writer, self._writer = self._writer, None
        if writer is not None:
            await writer.stop()
        segments, self._segments = self._segments, None
        if segments is not None:
            await self._put_down(segments)
        self._thread.shutdown(wait=False)
        self._thread = None
        for left in (self._marks, self._free, self.undecided, self._lines):
            left.clear()

    def begin(self, batch: Batch, names: Collection[str], *, is_kept: bool = False) -> Offer:
        """Begin to write a batch for these targets, who get it once it is kept. Raises `RetryableError` at a stop.

        `is_kept`: they get it after any end of this process, too, as soon as it is written.
        """
        if self._writer is None:
            raise RetryableError("forwarding is not running")
        return self._writer.begin(batch, tuple(names), is_kept=is_kept)

    async def keep(self, offer: Offer) -> None:
        """Return once the batch is synced to the disk for its targets, or cannot be, which is counted and said.

        A queue that is full drops its oldest for it: who offers is never refused.
        """
        record = await offer.written
        if record is not None:
            self.confirm(record, offer.names, is_marked=offer.is_kept)
        else:  # counted here alone: what ModelWatch itself does not take is sent again, and not lost
            batch = offer.batch
            self._count_dropped(Dropped(name, batch.signal, batch.item_count, "disk") for name in offer.names)

    def withdraw(self, offer: Offer) -> None:
        """Forward nothing of it: ModelWatch itself did not take it."""
        offer.is_withdrawn = True
        if offer.written.done() and not offer.written.cancelled() and (record := offer.written.result()) is not None:
            self.forget(record)

    async def offer(self, batch: Batch, targets: Collection[str]) -> None:
        """Write and keep a batch that ModelWatch itself does not store."""
        offer = self.begin(batch, targets, is_kept=True)
        await self.keep(offer)

    def confirm(self, record: Record, names: Iterable[str], *, is_marked: bool = False) -> None:
        """Let these targets have a record that is written."""
        if not is_marked:
            self._marks[record.segment] += kept_mark(record.at, record.segment.salt)
        self._enqueue(record, [name for name in names if name in self._lines])

    def forget(self, record: Record) -> None:
        """Let nobody have a record that is written."""
        for index in range(len(record.segment.names)):
            self._marks[record.segment] += done_mark(record.at, index, record.segment.salt)
        self._release(record.segment)

    def take(self, target: str) -> Record | None:
        """Return the oldest record that waits for a target, in hand until it is finished; `None` if there is none."""
        return self._lines[target].take() if target in self._lines else None

    def hand_back(self, target: str) -> None:
        """Let what is in hand for a target wait again."""
        if target in self._lines:
            self._lines[target].hand_back()

    async def batch_of(self, record: Record) -> Batch | None:
        """Return the batch of a record, or `None` if that is gone or damaged."""
        return await self._run(read_batch, self._folder, record.place)

    def drop(self, target: str, record: Record, reason: str) -> None:
        """Take a record out that cannot be forwarded, and count it."""
        self._count_dropped([Dropped(target, record.signal, record.items, reason)])
        self.finish(target, record.number)

    def finish(self, target: str, number: int) -> None:
        """Take out what was in hand. A process that dies within a quarter of a second forwards it again."""
        record = self._lines[target].finish(number) if target in self._lines else None
        if record is not None:
            self._note_done(target, record)

    def _enqueue(self, record: Record, names: Iterable[str], *, shrinks: bool = True) -> None:
        record.number = next(self._numbers)
        lines = [self._lines[name] for name in names]
        if not lines:
            self._release(record.segment)
        for line in lines:
            line.add(record)
        for line in lines:
            if shrinks:
                self._drop_all(line, line.shrink(), "full")
            self.arrived[line.target.name].set()

    def _drop_all(self, line: Line, records: Iterable[Record], reason: str) -> None:
        for record in records:
            self._count_dropped([Dropped(line.target.name, record.signal, record.items, reason)])
            self._note_done(line.target.name, record)

    def _note_done(self, target: str, record: Record) -> None:
        segment = record.segment
        self._marks[segment] += done_mark(record.at, segment.names.index(target), segment.salt)
        if not record.targets:
            self._release(segment)

    def _release(self, segment: Segment) -> None:
        segment.held -= 1
        self._free_if_done(segment)

    def _free_if_done(self, segment: Segment) -> None:
        if not segment.held and not segment.is_open:
            self._marks.pop(segment, None)
            self._free.append(segment)

    def _free_closed(self, segments: DiskSegments) -> None:
        """Let go of what nobody waited for when it was closed."""
        while segments.closed:
            segment = segments.closed.pop()
            segment.is_open = False
            self._free_if_done(segment)

    async def _keep_up(self) -> None:
        expires_at_s = room_at_s = 0.0
        while True:
            await asyncio.sleep(_MARK_EVERY_S)
            now_s = time.monotonic()
            if now_s >= expires_at_s:
                expires_at_s = now_s + _EXPIRE_EVERY_S
                for line in self._lines.values():
                    self._drop_all(line, line.expire(self._now_ns()), "expired")
            if self._segments is not None and now_s >= room_at_s:
                room_at_s = now_s + _ROOM_EVERY_S
                await self._make_room(self._segments)
            if self._segments is not None and (self._marks or self._free):
                await self._tidy(self._segments)

    async def _make_room(self, segments: DiskSegments) -> None:
        """Let a disk that is nearly full have what nobody waits for: ingest may be refused for the want of it."""
        with suppress(OSError):
            await self._run(segments.make_room)
        if self._writer is None or self._writer.is_idle:  # else what is just written there is not counted yet
            self._free_closed(segments)

    async def _tidy(self, segments: DiskSegments) -> None:
        """Delete what is done, or on a roomy disk lay it aside, and write the marks of the rest."""
        marks, self._marks = self._marks, defaultdict(bytearray)
        free, self._free = self._free, []
        try:
            await self._run(segments.tidy, free, {segment: bytes(added) for segment, added in marks.items()})
        except (OSError, asyncio.CancelledError) as error:
            # Done later, or at the stop that this is part of; a second time changes nothing.
            self._free += free
            for segment, added in marks.items():
                if segment.held or segment.is_open:
                    self._marks[segment] += added
            if not isinstance(error, OSError):
                raise
            if not self._is_untidy:
                _log.error("cannot note now what was forwarded", folder=str(self._folder), reason=str(error))
            self._is_untidy = True
        else:
            self._is_untidy = False

    async def _put_down(self, segments: DiskSegments) -> None:
        await self._run(segments.end_files)
        self._free_closed(segments)
        await self._tidy(segments)
        await self._run(segments.close)

    def _count_dropped(self, dropped: Iterable[Dropped]) -> None:
        for one in dropped:
            labels = {"target": one.target, "signal": str(one.signal), "reason": one.reason}
            self._counters.add("forward_dropped_items", one.items, **labels)

    def _observe(self, name: str) -> None:
        def oldest_s() -> float:
            line = self._lines.get(name)
            received_ns = line.oldest_received_ns() if line is not None else None
            return 0.0 if received_ns is None else max(0.0, (self._now_ns() - received_ns) / 1e9)

        self._counters.observe("forward_backlog_batches", lambda: self._held(name)[0], target=name)
        self._counters.observe("forward_backlog_bytes", lambda: self._held(name)[1], target=name)
        self._counters.observe("forward_backlog_oldest_s", oldest_s, target=name)

    def _held(self, name: str) -> tuple[int, int]:
        line = self._lines.get(name)
        return line.held() if line is not None else (0, 0)

    async def _run(self, job: Callable[..., T], *arguments: object) -> T:
        assert self._thread is not None
        return await asyncio.get_running_loop().run_in_executor(self._thread, job, *arguments)
