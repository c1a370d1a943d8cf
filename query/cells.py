"""The RED of one group in one block of time, derived from points and added up into totals.

Pure; the only place where calls are counted and histograms merged for an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from query.answers import RedStep, RedTotal
from query.grouping import GroupKey
from telemetry import ExponentialHistogram, RedPoint, SeriesKey

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

    @cached_property
    def step(self) -> RedStep:
        """The cell as a step of an answer; kept, because pages ask for the same step every second."""
        percentiles = self.durations.quantiles(_PERCENTILES)
        return RedStep(self.start_s, self.calls, self.errors, self.client_errors, *percentiles)


Cells = Mapping[GroupKey, Cell]
"""The cells of one block of time, by group."""


def cells_of(
    start_s: int, points: Iterable[RedPoint], group_of: Callable[[SeriesKey], GroupKey | None]
) -> dict[GroupKey, Cell]:
    """Add up the points of the block that begins at `start_s`, by group, leaving out series of no group."""
    groups: dict[GroupKey, list[RedPoint]] = {}
    for point in points:
        key = group_of(point.series)
        if key is not None:
            groups.setdefault(key, []).append(point)
    return {key: _sum_of_points(start_s, group) for key, group in groups.items()}


def _sum_of_points(start_s: int, points: list[RedPoint]) -> Cell:
    return Cell(
        start_s,
        max(point.start_s for point in points),
        sum(point.calls for point in points),
        sum(point.errors for point in points),
        sum(point.calls for point in points if point.series.http_status_class == _CLIENT_ERROR_CLASS),
        ExponentialHistogram.merge(point.durations for point in points),
    )


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
    return RedTotal(
        cell.calls,
        cell.errors,
        cell.client_errors,
        cell.errors / cell.calls,
        cell.calls / seconds,
        *cell.durations.quantiles(_PERCENTILES),
    )
