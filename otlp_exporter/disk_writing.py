"""Writing what is to be forwarded, in groups: what was offered while one is written shares the next write and sync.

Between the queue, which it belongs to, and the files.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog

from otlp_exporter.disk_line import Record
from otlp_exporter.disk_segments import DiskSegments
from telemetry import Batch

_log = structlog.get_logger(__name__)

_STOP_TIMEOUT_S: Final = 5.0
_GROUP_BYTES: Final = 4 * 1024**2


@dataclass(slots=True, eq=False)
class Offer:
    """A batch that is being written. `written` gets its record, `None` if the disk does not take it."""

    batch: Batch
    names: tuple[str, ...]
    is_kept: bool
    written: asyncio.Future[Record | None]
    is_withdrawn: bool = False


class GroupWriter:
    """Has `run` do the writing in the queue's thread; the rest belongs to the event loop.

    `forget` gets each record that nobody wants any more when it is written, `settle` is called after each group.
    """

    def __init__(
        self,
        segments: DiskSegments,
        run: Callable[..., Awaitable[Any]],
        forget: Callable[[Record], None],
        settle: Callable[[], None],
    ) -> None:
        self._segments = segments
        self._run = run
        self._forget = forget
        self._settle = settle
        self._offers: list[Offer] = []
        self._task: asyncio.Task[None] | None = None
        self._is_refusal_told = False

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being written."""
        return self._task is None or self._task.done()

    def begin(self, batch: Batch, names: tuple[str, ...], *, is_kept: bool) -> Offer:
        """Begin to write a batch for these targets."""
        offer = Offer(batch, names, is_kept, asyncio.get_running_loop().create_future())
        self._offers.append(offer)
        if self.is_idle:
            self._task = asyncio.create_task(self._write(), name="write what is to be forwarded")
        return offer

    async def stop(self) -> None:
        """Write what was offered; what takes too long is cancelled."""
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=_STOP_TIMEOUT_S)
            self._task.cancel()
        for offer in self._offers:
            offer.written.cancel()
        self._offers.clear()

    async def _write(self) -> None:
        while self._offers:
            group = self._next_group()
            try:
                written = await self._run(self._add, group)
            except asyncio.CancelledError:
                for offer in group:
                    offer.written.cancel()
                raise
            for offer, record in zip(group, written, strict=True):
                self._note(offer, record)
            self._settle()

    def _next_group(self) -> list[Offer]:
        size = count = 0
        for offer in self._offers:
            size += len(offer.batch.body)
            count += 1
            if size >= _GROUP_BYTES:
                break
        group, self._offers = self._offers[:count], self._offers[count:]
        return group

    def _note(self, offer: Offer, record: Record | None) -> None:
        if record is not None:
            record.segment.held += 1
            if offer.is_withdrawn or offer.written.done():
                self._forget(record)
        if not offer.written.done():
            offer.written.set_result(record)

    def _add(self, group: Sequence[Offer]) -> list[Record | None]:
        """Write a group, in the thread; `None` for what could not be written."""
        together = defaultdict[tuple[tuple[str, ...], bool], list[int]](list)
        for index, offer in enumerate(group):
            if not offer.is_withdrawn:
                together[offer.names, offer.is_kept].append(index)
        records: list[Record | None] = [None] * len(group)
        for (names, is_kept), indexes in together.items():
            batches = [group[index].batch for index in indexes]
            try:
                segment, places = self._segments.add(names, batches, is_kept=is_kept)
            except Exception as error:
                # The batches are safe where ModelWatch itself keeps them: only their copies are lost.
                if not self._is_refusal_told:
                    folder = str(self._segments.folder)
                    _log.error("cannot write what is to be forwarded", folder=folder, reason=str(error))
                self._is_refusal_told = True
                continue
            self._is_refusal_told = False
            for index, batch, place in zip(indexes, batches, places, strict=True):
                records[index] = Record(
                    segment, place.at, place.size, batch.signal, batch.item_count, batch.received_unix_nano
                )
        return records
