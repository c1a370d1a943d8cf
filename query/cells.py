"""The RED of one group in one block of time, derived from points and added up into totals.

Pure; the only place where calls are counted and histograms merged for an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from query.answers import RedStep, RedTotal
from query.blocks import Block
from query.grouping import GroupKey
from telemetry import ExponentialHistogram, RedColumns, RedPoint, SeriesKey
from telemetry.exponential_histogram import EMPTY
from telemetry.histogram_groups import merge_groups

_NS_PER_S: Final = 1e9
_PERCENTILES: Final = (0.5, 0.95, 0.99)
_CLIENT_ERROR_CLASS: Final = "4xx"


@dataclass(frozen=True)
class Cell:
    """RED of one group from `start_s` on; `last_s` is the start of the latest bucket with a call."""

    start_s: int
    last_s: int
    calls: int
    errors: int
    client_errors: int
    durations: ExponentialHistogram
    failed: ExponentialHistogram = EMPTY
    """Those of them that are known to be of calls that failed, which is where all calls of a point did."""

    @cached_property
    def step(self) -> RedStep:
        """The cell as a step of an answer; kept, because pages ask for the same step every second."""
        percentiles = self.durations.quantiles(_PERCENTILES)
        return RedStep(self.start_s, self.calls, self.errors, self.client_errors, *percentiles)


Cells = Mapping[GroupKey, Cell]
"""The cells of one block of time, by group."""


def cells_of(
    blocks: Sequence[Block], points: Sequence[RedPoint], group_of: Callable[[SeriesKey], GroupKey | None]
) -> list[Cells]:
    """Add up points in time order by block and group, leaving out series of no group; returns the cells of each block.

    A point belongs to the block that it begins in; a block may be given in part.
    """
    columns = points if isinstance(points, RedColumns) else RedColumns.of(points)
    cells: list[dict[GroupKey, Cell]] = [{} for _ in blocks]
    numbers: dict[GroupKey, int] = {}
    keys = [group_of(series) for series in columns.series]
    group_of_series = np.array([-1 if key is None else numbers.setdefault(key, len(numbers)) for key in keys], np.int64)
    if not numbers:
        return list(cells)
    group = group_of_series[columns.series_index]
    block = np.searchsorted([block.start_s for block in blocks], columns.start_s, side="right") - 1
    rows = np.flatnonzero(group >= 0)
    cell = block[rows] * len(numbers) + group[rows]
    order = np.argsort(cell, kind="stable")
    rows, cell = rows[order], cell[order]
    starts = np.flatnonzero(np.diff(cell, prepend=-1))
    calls = columns.calls[rows]
    is_client_error = np.array([series.http_status_class == _CLIENT_ERROR_CLASS for series in columns.series])
    client_errors = np.where(is_client_error[columns.series_index[rows]], calls, 0)
    cell_of_row = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(rows)))
    errors = columns.errors[rows]
    has_failed = np.flatnonzero((errors == calls) & (errors > 0))
    sums = zip(
        np.maximum.reduceat(columns.start_s[rows], starts).tolist(),
        np.add.reduceat(calls, starts).tolist(),
        np.add.reduceat(errors, starts).tolist(),
        np.add.reduceat(client_errors, starts).tolist(),
        merge_groups(list(map(columns.durations.__getitem__, rows.tolist())), cell_of_row, len(starts)),
        merge_groups(
            list(map(columns.durations.__getitem__, rows[has_failed].tolist())), cell_of_row[has_failed], len(starts)
        ),
        strict=True,
    )
    names = list(numbers)
    for index, of_cell in zip(cell[starts].tolist(), sums, strict=True):
        number, name = divmod(index, len(names))
        cells[number][names[name]] = Cell(blocks[number].start_s, *of_cell)
    return list(cells)


def sum_of_cells(cells: Iterable[Cell]) -> Cell | None:
    """Add up cells of any groups and blocks; `None` when there are none."""
    cells = list(cells)
    if len(cells) < 2:
        return cells[0] if cells else None
    return Cell(
        min(cell.start_s for cell in cells),
        max(cell.last_s for cell in cells),
        sum(cell.calls for cell in cells),
        sum(cell.errors for cell in cells),
        sum(cell.client_errors for cell in cells),
        ExponentialHistogram.merge(cell.durations for cell in cells),
        ExponentialHistogram.merge(cell.failed for cell in cells),
    )


def merged(first: Cells, second: Cells) -> Cells:
    """Add up two parts of the same block."""
    if not first or not second:
        return first or second
    both = {key: sum_of_cells(cells[key] for cells in (first, second) if key in cells) for key in {**first, **second}}
    return {key: cell for key, cell in both.items() if cell is not None}


def total_of(cell: Cell | None, seconds: int) -> RedTotal:
    """Return the total over `seconds` of asked time."""
    if cell is None or not cell.calls:
        return RedTotal(0, 0, 0, 0.0, 0.0, None, None, None)
    p50_s, p95_s, p99_s = cell.durations.quantiles(_PERCENTILES)
    return RedTotal(
        cell.calls,
        cell.errors,
        cell.client_errors,
        cell.errors / cell.calls,
        cell.calls / seconds,
        p50_s,
        p95_s,
        p99_s,
        cell.durations.sum_ns / _NS_PER_S,
    )
