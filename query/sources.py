"""The two places that answer: the live window in memory and the history in the database, behind one face.

`query/choice.py` picks one per question, `query/derivation.py` reads it block by block.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal, Protocol

from query.blocks import Block
from query.question import QuestionError
from query.settings import QuerySettings
from storage.live_window import LiveWindow
from storage.ports import History, KeptTier, SeriesFilter, TooManyPointsError
from telemetry import NowNs, RedPoint

SourceName = Literal["live", "history"]

_NS_PER_S: Final = 1_000_000_000
_EVERY_SERIES: Final = SeriesFilter()
_CHUNK_BUCKETS: Final = 60
"""Buckets read from the history at once: bounds memory, and the time that one read takes."""
_GRAINS: Final = 24
"""A range may become longer by one part in so many."""
_SETTLED_AFTER_S: Final = 60
_RECHECK_COST_FACTOR: Final = 10
"""Settled figures are not read again before ten times what reading them took, which bounds the time spent on it."""


@dataclass(frozen=True, slots=True)
class Part:
    """The points of adjoining blocks, in time order; a block may come in several parts.

    `marks` are the revision or the time that each block was read at.
    """

    blocks: Sequence[Block]
    points: Sequence[RedPoint]
    marks: Sequence[float]


class Source(Protocol):
    """Points in buckets of `bucket_s` seconds."""

    @property
    def name(self) -> SourceName: ...

    @property
    def bucket_s(self) -> int: ...

    @property
    def identity(self) -> object:
        """What derived figures belong to: they say nothing about a source of another identity."""
        ...

    def bucket_s_at(self, second: int) -> int:
        """Return the width of the finest buckets of a time; those of where a question begins may be wider."""
        ...

    def grain_s(self, range_s: int) -> int:
        """Return what the start of a range of this length is moved down to a multiple of, for the sake of speed."""
        ...

    def read(self, blocks: Sequence[Block], where: SeriesFilter, by: Collection[str]) -> AsyncGenerator[Part, None]:
        """Yield the points of the sorted `blocks`, a bounded amount at a time; other series may be among them.

        Only the fields `by` of series matter; points that differ in others may be added up.
        """
        ...

    def stamp(self, block: Block, mark: float, cost_s: float) -> float:
        """Return by what figures read at `mark`, in an effort of `cost_s` seconds in all, are known to hold still."""
        ...

    def is_current(self, block: Block, stamp: float) -> bool:
        """Tell whether figures with this stamp still hold."""
        ...


class LiveSource:
    """The live window at this moment, by its revisions; made anew for each question."""

    name: Final = "live"
    bucket_s: Final = 1

    def __init__(self, window: LiveWindow) -> None:
        self.identity = window
        newest_s = window.newest_s
        # Blocks may reach far beyond the seconds that the window can hold, and it is asked second by second.
        self._held = Block(0, 0) if newest_s is None else Block(newest_s - 2 * window.length_s, newest_s + 1)

    def bucket_s_at(self, second: int) -> int:
        return self.bucket_s

    def grain_s(self, range_s: int) -> int:
        return self.bucket_s

    async def read(
        self, blocks: Sequence[Block], where: SeriesFilter, by: Collection[str]
    ) -> AsyncGenerator[Part, None]:
        # In one go and without awaiting, because the feed may change its window at any other moment.
        points = self._points([self._clip(block) for block in blocks], where)
        yield Part(blocks, points, [self.revision(block) for block in blocks])

    def stamp(self, block: Block, mark: float, cost_s: float) -> float:
        return mark

    def is_current(self, block: Block, stamp: float) -> bool:
        return self.revision(block) == stamp

    def revision(self, block: Block) -> int:
        """Return a number that changes with any point of the block."""
        return self.identity.revision(*self._clip(block))

    def _points(self, blocks: Sequence[Block], where: SeriesFilter) -> list[RedPoint]:
        window = self.identity
        if where == _EVERY_SERIES:
            return [point for block in blocks for point in window.points(*block)]
        # All else that is done with points costs more than leaving out those that are not wanted.
        known = window.series(blocks[0].start_s, blocks[-1].end_s)
        wanted = [series for series in known if where.matches(series)]
        return [point for block in blocks for point in window.points_of(wanted, *block)]

    def _clip(self, block: Block) -> Block:
        return Block(max(block.start_s, self._held.start_s), min(block.end_s, self._held.end_s))


class HistorySource:
    """The history, read in chunks, each from the tier that suits the blocks; made anew for each question.

    It cannot tell when it changes, so what was derived from it holds for a time. `tiers` are those that are kept,
    finest first, and `start_s` is the beginning of what is asked about.
    """

    name: Final = "history"
    identity: Final = "history"

    def __init__(
        self, history: History, tiers: Sequence[KeptTier], start_s: int, settings: QuerySettings, now_ns: NowNs
    ) -> None:
        self._history = history
        self._tiers = tiers
        self._widths = [tier.width_s for tier in tiers]
        self._settings = settings
        self._now_ns = now_ns
        self.bucket_s = self.bucket_s_at(start_s)

    def bucket_s_at(self, second: int) -> int:
        return next((tier.width_s for tier in self._tiers if tier.since_s <= second), self._widths[-1])

    def grain_s(self, range_s: int) -> int:
        # The hours of a day are quickly read; the minutes of the hour that it begins in would take twice as long.
        # Buckets that are wider, as finer ones are gone, cannot be divided.
        return max([self.bucket_s, *(width_s for width_s in self._widths if width_s * _GRAINS <= range_s)])

    async def read(
        self, blocks: Sequence[Block], where: SeriesFilter, by: Collection[str]
    ) -> AsyncGenerator[Part, None]:
        reads = (self._begin(width_s, chunk, where, by) for width_s, chunk in _chunks(blocks, self._width_for))
        under_way = next(reads, None)
        try:
            while under_way is not None:
                part = await under_way
                # One ahead: the database works on the next while what is here is added up.
                under_way = next(reads, None)
                yield part
        finally:
            if under_way is not None:
                under_way.cancel()

    def _begin(
        self, width_s: int, chunk: Sequence[tuple[Block, Block]], where: SeriesFilter, by: Collection[str]
    ) -> asyncio.Task[Part]:
        return asyncio.create_task(self._part(width_s, chunk, where, by))

    async def _part(
        self, width_s: int, chunk: Sequence[tuple[Block, Block]], where: SeriesFilter, by: Collection[str]
    ) -> Part:
        asked_s = self._now_s()
        points = await self._read(Block(chunk[0][1].start_s, chunk[-1][1].end_s), where, width_s, by)
        return Part([block for block, _ in chunk], points, [asked_s] * len(chunk))

    def _width_for(self, block: Block) -> int:
        """Return the width of the widest buckets that lie within the block; what is left at its end is read finer."""
        start_s, end_s = block
        fitting = (
            width_s
            for width_s in self._widths
            if start_s % width_s == 0 and (end_s % width_s == 0 or end_s - start_s > width_s)
        )
        return max(fitting, default=self._widths[0])

    async def _read(self, block: Block, where: SeriesFilter, width_s: int, by: Collection[str]) -> Sequence[RedPoint]:
        try:
            return await self._history.read(block.start_s, block.end_s, where, width_s, by)
        except TooManyPointsError as error:
            raise QuestionError("start_s", str(error)) from error

    def stamp(self, block: Block, mark: float, cost_s: float) -> float:
        if block.end_s > mark - _SETTLED_AFTER_S:
            return mark + self._settings.history_cache_s
        return mark + max(self._settings.history_recheck_s, _RECHECK_COST_FACTOR * cost_s)

    def is_current(self, block: Block, stamp: float) -> bool:
        return self._now_s() < stamp

    def _now_s(self) -> float:
        return self._now_ns() / _NS_PER_S


def _chunks(
    blocks: Iterable[Block], width_for: Callable[[Block], int]
) -> Iterator[tuple[int, list[tuple[Block, Block]]]]:
    """Yield runs of adjoining pieces to be read in buckets of one width, each with the block that it is a piece of."""
    chunk: list[tuple[Block, Block]] = []
    chunk_width_s = 0
    for block in blocks:
        width_s = width_for(block)
        cuts = [*range(block.start_s, block.end_s, _CHUNK_BUCKETS * width_s), block.end_s]
        for start_s, end_s in pairwise(cuts):
            fits = chunk and width_s == chunk_width_s and start_s == chunk[-1][1].end_s
            if chunk and not (fits and end_s - chunk[0][1].start_s <= _CHUNK_BUCKETS * width_s):
                yield chunk_width_s, chunk
                chunk = []
            chunk.append((block, Block(start_s, end_s)))
            chunk_width_s = width_s
    if chunk:
        yield chunk_width_s, chunk
