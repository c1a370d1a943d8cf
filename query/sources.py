"""The two places that answer: the live window in memory and the history in the database, behind one face.

`query/choice.py` picks one per question, `query/derivation.py` reads it block by block.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal, Protocol

from query.blocks import Block
from query.question import QuestionError
from query.settings import QuerySettings
from storage.live_window import LiveWindow
from storage.ports import History, SeriesFilter, TooManyPointsError
from telemetry import NowNs, RedPoint

SourceName = Literal["live", "history"]

_NS_PER_S: Final = 1_000_000_000
_CHUNK_BUCKETS: Final = 60
"""Buckets read from the history at once: bounds memory, and the time that one read takes."""
_SETTLED_AFTER_S: Final = 60
_RECHECK_COST_FACTOR: Final = 10
"""Settled figures are not read again before ten times what reading them took, which bounds the time spent on it."""


@dataclass(frozen=True, slots=True)
class Part:
    """Points of a block, which may come in several parts; `mark` is the revision or the time that they were read at."""

    block: Block
    points: Sequence[RedPoint]
    mark: float


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

    def read(self, blocks: Sequence[Block], where: SeriesFilter) -> AsyncIterator[list[Part]]:
        """Yield the points of the sorted `blocks`, a bounded amount at a time; other series may be among them."""
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

    async def read(self, blocks: Sequence[Block], where: SeriesFilter) -> AsyncIterator[list[Part]]:
        # In one go and without awaiting, because the feed may change its window at any other moment.
        window = self.identity
        yield [Part(block, list(window.points(*self._clip(block))), self.revision(block)) for block in blocks]

    def stamp(self, block: Block, mark: float, cost_s: float) -> float:
        return mark

    def is_current(self, block: Block, stamp: float) -> bool:
        return self.revision(block) == stamp

    def revision(self, block: Block) -> int:
        """Return a number that changes with any point of the block."""
        return self.identity.revision(*self._clip(block))

    def _clip(self, block: Block) -> Block:
        return Block(max(block.start_s, self._held.start_s), min(block.end_s, self._held.end_s))


class HistorySource:
    """The history, read in chunks. It cannot tell when it changes, so what was derived from it holds for a time."""

    name: Final = "history"
    identity: Final = "history"

    def __init__(self, history: History, settings: QuerySettings, now_ns: NowNs) -> None:
        self._history = history
        self._settings = settings
        self._now_ns = now_ns

    @property
    def bucket_s(self) -> int:
        return self._history.resolution_s

    async def read(self, blocks: Sequence[Block], where: SeriesFilter) -> AsyncIterator[list[Part]]:
        for chunk in _chunks(blocks, _CHUNK_BUCKETS * self.bucket_s):
            asked_s = self._now_s()
            points = await self._read(Block(chunk[0][1].start_s, chunk[-1][1].end_s), where)
            inside = _split(points, [piece for _, piece in chunk])
            yield [Part(block, part, asked_s) for (block, _), part in zip(chunk, inside, strict=True)]

    async def _read(self, block: Block, where: SeriesFilter) -> list[RedPoint]:
        try:
            return await self._history.read(block.start_s, block.end_s, where)
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


def _chunks(blocks: Iterable[Block], width_s: int) -> Iterator[list[tuple[Block, Block]]]:
    """Yield runs of adjoining pieces, at most `width_s` seconds in all, each with the block that it is a piece of."""
    chunk: list[tuple[Block, Block]] = []
    for block, piece in _pieces(blocks, width_s):
        if chunk and (piece.start_s != chunk[-1][1].end_s or piece.end_s - chunk[0][1].start_s > width_s):
            yield chunk
            chunk = []
        chunk.append((block, piece))
    if chunk:
        yield chunk


def _pieces(blocks: Iterable[Block], width_s: int) -> Iterator[tuple[Block, Block]]:
    for block in blocks:
        cuts = [*range(block.start_s, block.end_s, width_s), block.end_s]
        for start_s, end_s in pairwise(cuts):
            yield block, Block(start_s, end_s)


def _split(points: Sequence[RedPoint], blocks: Sequence[Block]) -> list[list[RedPoint]]:
    """Deal out points in time order to the adjoining blocks that they fall into."""
    parts: list[list[RedPoint]] = [[] for _ in blocks]
    position = 0
    for point in points:
        while point.start_s >= blocks[position].end_s:
            position += 1
        parts[position].append(point)
    return parts
