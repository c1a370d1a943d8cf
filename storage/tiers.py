"""The tiers of the history: which widths it keeps for how long, and which rows of which tier are the truth at a time.

Pure. Commits write the finest tier and mark the next as due, `rollups.py` makes coarse rows from finer ones,
`retirement.py` deletes, `reads.py` asks here which rows to read.

What a bucket of a tier holds is told by three things, all read in the same snapshot:

- It is *due* when finer rows came that it was not rolled up from; then the finer rows are the truth.
- Rows of a tier before its `retired_to_s` were deleted, and the next tier is the truth. What still comes to such a time
  is kept in the finer tier, in addition to the coarser rows, until it is rolled up and moved there.
- Between `cleared_to_s` and `retired_to_s` rows are dead: the next tier is the truth and they wait to be deleted. The
  finest tier has none such, since commits write to it; it is retired and cleared at once.

Rows of a tier from its `summed_since_s` on have summaries (`summaries.py`), which hold the same and are read instead
where that is enough.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlalchemy import Table

from storage.schema import METRIC_TABLES, SUMMARY_TABLES, TIER_TABLES
from storage.settings import StorageSettings

FINEST, MEDIUM, COARSE = 0, 1, 2
_DAY_S = 86_400
_PARTITIONS_KEPT = 8


@dataclass(frozen=True, slots=True)
class Tier:
    """Buckets of `width_s` seconds in a table for each kind of points, kept for `retention_s`.

    `rank` counts from the finest, 0.
    """

    rank: int
    width_s: int
    retention_s: int
    table: Table
    metric_table: Table
    """Holds metrics as `table` holds RED points: what is due, held or deleted of a time is so of both."""
    summary_table: Table | None
    """Holds sums of the rows of `table`; the finest tier has none."""
    unit_s: int
    """What is retired at once is a multiple of this: the width of the next tier's buckets."""
    partition_s: int
    """The time that one partition holds on PostgreSQL; a multiple of `unit_s`."""

    @property
    def is_rewritten(self) -> bool:
        """Whether commits add to rows that exist; coarser ones are written whole."""
        return self.rank == FINEST

    @property
    def tables(self) -> tuple[Table, ...]:
        """All tables."""
        summaries = () if self.summary_table is None else (self.summary_table,)
        return self.table, self.metric_table, *summaries


def tiers_of(settings: StorageSettings) -> tuple[Tier, Tier, Tier]:
    """Return the tiers, finest first."""
    widths = (settings.resolution_s, settings.medium_resolution_s, settings.coarse_resolution_s)
    units = (*widths[1:], widths[-1])
    medium_s = max(settings.points_retention_s, settings.medium_retention_s)
    retentions = (settings.points_retention_s, medium_s, max(medium_s, settings.coarse_retention_s))
    longest = (_DAY_S // 4, _DAY_S, 30 * _DAY_S)
    tables_by_rank = zip(TIER_TABLES, METRIC_TABLES, (None, *SUMMARY_TABLES), strict=True)
    finest, medium, coarse = (
        Tier(rank, width_s, retention_s, *tables, unit_s, _partition_s(retention_s, unit_s, longest_s))
        for rank, (width_s, retention_s, tables, unit_s, longest_s) in enumerate(
            zip(widths, retentions, tables_by_rank, units, longest, strict=True)
        )
    )
    return finest, medium, coarse


def _partition_s(retention_s: int, unit_s: int, longest_s: int) -> int:
    """Return an eighth of the retention, so that no more than that is kept too long, within reason."""
    return max(floor_to(min(retention_s // _PARTITIONS_KEPT, longest_s), unit_s), unit_s)


class Held(NamedTuple):
    """What a tier holds: its rows are the truth from `retired_to_s` on, and summed up from `summed_since_s` on."""

    retired_to_s: int
    cleared_to_s: int
    summed_since_s: int = 0


Ranges = list[tuple[int, int]]
"""Half-open ranges of Unix seconds, in time order."""


@dataclass
class Plan:
    """Which rows to read: ranges of each tier, by rank."""

    held: Sequence[Held]
    widths: Sequence[int]
    due: Sequence[Collection[int]]
    """For each rank the starts of the due buckets."""
    ranges: list[Ranges] = field(default_factory=lambda: [[], [], []])

    def __post_init__(self) -> None:
        medium = set(self.due[MEDIUM])
        # A coarse bucket is marked only when what it is made of is rolled up, but is out of date before.
        coarse = set(self.due[COARSE]) | {floor_to(start_s, self.widths[COARSE]) for start_s in medium}
        self._stale = (set[int](), medium, coarse)

    def cover(self, start_s: int, end_s: int, rank: int) -> None:
        """Add what is read of [start_s, end_s) in buckets of `rank` or finer; coarser where finer are retired."""
        if rank < COARSE:
            cut_s = min(max(self.held[rank].retired_to_s, start_s), end_s)
            if start_s < cut_s:
                self.cover(start_s, cut_s, rank + 1)
                start_s = cut_s
        if start_s < end_s:
            self._cover(start_s, end_s, rank)

    def _cover(self, start_s: int, end_s: int, rank: int) -> None:
        if start_s >= end_s:
            return
        if rank == FINEST:
            self._add(start_s, end_s, FINEST)
            return
        cut_s = min(max(self.held[rank - 1].retired_to_s, start_s), end_s)
        if start_s < cut_s:
            self._add(start_s, cut_s, rank)
            self._add_latecomers(start_s, cut_s, rank)
        width_s = self.widths[rank]
        low_s, high_s = cut_s + -cut_s % width_s, floor_to(end_s, width_s)
        if low_s >= high_s:
            self._cover(cut_s, end_s, rank - 1)
            return
        self._cover(cut_s, low_s, rank - 1)
        for stale_s in sorted(bucket_s for bucket_s in self._stale[rank] if low_s <= bucket_s < high_s):
            self._add(low_s, stale_s, rank)
            self._cover(stale_s, stale_s + width_s, rank - 1)
            low_s = stale_s + width_s
        self._add(low_s, high_s, rank)
        self._cover(high_s, end_s, rank - 1)

    def _add_latecomers(self, start_s: int, end_s: int, rank: int) -> None:
        """Add the finer rows that came after the finer tier had been retired."""
        width_s = self.widths[rank]
        if any(start_s - width_s < bucket_s < end_s for bucket_s in self._stale[rank]):
            for finer in range(rank):
                self._add(start_s, min(end_s, self.held[finer].cleared_to_s), finer)

    def _add(self, start_s: int, end_s: int, rank: int) -> None:
        if start_s >= end_s:
            return
        ranges = self.ranges[rank]
        if ranges and ranges[-1][1] == start_s:
            ranges[-1] = (ranges[-1][0], end_s)
        else:
            ranges.append((start_s, end_s))


def floor_to(second: int, width_s: int) -> int:
    """Return the last multiple of `width_s` that is not after `second`."""
    return second - second % width_s
