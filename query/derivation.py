"""From points to cells: reads what is not known yet, derives it, and keeps it for the questions of the next second.

Between the sources and the answers; a page that asks every second makes it derive only the newest steps.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import aclosing
from functools import partial
from typing import Final, TypeVar

from query.answers import GroupBy
from query.blocks import Block
from query.cells import Cells, cells_of, merged
from query.grouping import fields_of, grouper
from query.question import check_point_count
from query.settings import QuerySettings
from query.sources import Part, Source
from storage.ports import SeriesFilter
from storage.sanitising import clean_filter

_UNCUT: Final = sys.maxsize
"""What is asked for may be any name; where long ones are cut is the stores' own affair."""
_INLINE_POINTS: Final = 2_000
"""More points than these, about 5 ms of work, are added up in a worker thread."""

_T = TypeVar("_T")
_Key = tuple[object, tuple[GroupBy, ...], SeriesFilter, Block]


class Worker:
    """Does what is large in a thread, one after the other: at once, all of it would take longer for want of the GIL."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def off_loop_if(self, is_large: bool, work: Callable[[], _T]) -> _T:
        """Do the work in the thread when it is large, else at once."""
        if not is_large:
            return work()
        async with self._turn:
            return await asyncio.to_thread(work)


class CellCache:
    """The cells of blocks with the stamps of their sources, at most `limit` cells; the least recently used go first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._blocks: OrderedDict[_Key, tuple[float, Cells]] = OrderedDict()
        self._weight = 0

    def get(self, key: _Key) -> tuple[float, Cells] | None:
        """Return stamp and cells, or `None`."""
        found = self._blocks.get(key)
        if found is not None:
            self._blocks.move_to_end(key)
        return found

    def put(self, key: _Key, stamp: float, cells: Cells) -> None:
        """Keep the cells of a block in the place of any before."""
        before = self._blocks.pop(key, None)
        self._weight += _weight(cells) - (_weight(before[1]) if before else 0)
        self._blocks[key] = (stamp, cells)
        while self._weight > self._limit:
            _, (_, oldest) = self._blocks.popitem(last=False)
            self._weight -= _weight(oldest)

    @property
    def weight(self) -> int:
        """Cells held; an empty block counts as one."""
        return self._weight


def _weight(cells: Cells) -> int:
    return max(len(cells), 1)


class Derivation:
    """Cells of blocks from a source, derived once while they hold."""

    def __init__(self, settings: QuerySettings) -> None:
        self._settings = settings
        self.cache = CellCache(settings.cached_cells)
        self.worker = Worker()

    def use(self, settings: QuerySettings) -> None:
        """Read as many points as these settings allow from now on."""
        self._settings = settings

    async def cells(
        self, source: Source, blocks: Sequence[Block], group_by: tuple[GroupBy, ...], where: SeriesFilter
    ) -> list[Cells]:
        """Return the cells of each of the sorted `blocks`.

        A name is found by what it was sent as, though both sources keep it without what no database takes.

        Raises `QuestionError` when too many points would have to be read, `StorageUnavailableError` as the source does.
        """
        where = clean_filter(where, _UNCUT)
        known: dict[Block, Cells] = {}
        for block in blocks:
            found = self.cache.get((source.identity, group_by, where, block))
            if found is not None and source.is_current(block, found[0]):
                known[block] = found[1]
        missing = [block for block in blocks if block not in known]
        if missing:
            known |= await self._derive(source, missing, group_by, where)
        return [known[block] for block in blocks]

    async def _derive(
        self, source: Source, blocks: Sequence[Block], group_by: tuple[GroupBy, ...], where: SeriesFilter
    ) -> dict[Block, Cells]:
        began = time.perf_counter()
        derived: dict[Block, Cells] = {}
        marks: dict[Block, float] = {}
        point_count = 0
        async with aclosing(source.read(blocks, where, fields_of(group_by))) as parts:
            async for part in parts:
                point_count += len(part.points)
                check_point_count(point_count, self._settings)
                is_large = len(part.points) > _INLINE_POINTS
                work = partial(_cells_of, part, group_by, where)
                columns = await self.worker.off_loop_if(is_large, work)
                for block, cells, mark in zip(part.blocks, columns, part.marks, strict=True):
                    derived[block] = merged(derived.get(block, {}), cells)
                    marks.setdefault(block, mark)
        cost_s = time.perf_counter() - began
        for block, cells in derived.items():
            stamp = source.stamp(block, marks[block], cost_s)
            self.cache.put((source.identity, group_by, where, block), stamp, cells)
        return derived


def _cells_of(part: Part, group_by: tuple[GroupBy, ...], where: SeriesFilter) -> list[Cells]:
    return cells_of(part.blocks, part.points, grouper(group_by, where))
