"""RED over one window by any grouping, kept apart finely enough that many may ask of it: one reading for many rules.

Pure; made by `query/component.py` for alerts, which group and filter it each in their own way.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

from query.answers import GroupBy, RedTotal
from query.apdex import apdex_of
from query.blocks import Block
from query.cells import Cell, Cells, sum_of_cells, total_of
from query.grouping import GroupKey
from query.settings import QuerySettings
from telemetry import ExponentialHistogram

TargetOf = Callable[[str | None], float]


def default_target(service: str | None) -> float:
    """Return the T of Apdex where nobody set one."""
    return QuerySettings().apdex_target_of(service)


class WindowTotals:
    """The groups that had calls in [start_s, end_s), by the values of `fields`.

    Totals are computed when they are first asked for, each once.
    """

    def __init__(
        self,
        fields: Sequence[GroupBy],
        start_s: int,
        end_s: int,
        columns: Sequence[Cells],
        target_of: TargetOf = default_target,
    ) -> None:
        """`target_of` is the T of Apdex of a service."""
        self.fields = tuple(fields)
        self._target_of = target_of
        self.start_s = start_s
        self.end_s = end_s
        self._cells = _joined(columns)
        self._totals: dict[GroupKey, RedTotal] = {}
        self._by_value: dict[GroupBy, dict[str, list[GroupKey]]] = {}

    def __len__(self) -> int:
        return len(self._cells)

    def groups(self) -> Sequence[GroupKey]:
        """Return the values of `fields` of every group."""
        return list(self._cells)

    def groups_with(self, field: GroupBy, value: str) -> Sequence[GroupKey]:
        """Return the groups that have this value, without going through all of them every time."""
        index = self._by_value.get(field)
        if index is None:
            index = self._by_value[field] = defaultdict(list)
            position = self.fields.index(field)
            for key in self._cells:
                index[key[position]].append(key)
        return index.get(value, ())

    def select(self, group_by: Sequence[GroupBy], keys: Sequence[GroupKey]) -> Iterator[tuple[GroupKey, RedTotal]]:
        """Yield the total of each group by fewer fields, made of those groups that `keys` names."""
        group_by = tuple(group_by)
        if group_by == self.fields:
            for key in keys:
                yield key, self._total(key)
            return
        positions = [self.fields.index(field) for field in group_by]
        merged: defaultdict[GroupKey, list[GroupKey]] = defaultdict(list)
        for key in keys:
            merged[tuple([key[position] for position in positions])].append(key)
        for key, parts in merged.items():
            if len(parts) == 1:
                yield key, self._total(parts[0])
            else:
                total = sum_of_cells(self._cells[part] for part in parts)
                yield key, total_of(total, self.end_s - self.start_s)

    def apdex(self, group_by: Sequence[GroupBy], keys: Sequence[GroupKey]) -> Iterator[tuple[GroupKey, int, float]]:
        """Yield calls and score of each group, as `select` has them: of each call by the target of its own service."""
        at = self.fields.index("service") if "service" in self.fields else None
        positions = [self.fields.index(field) for field in group_by]
        calls: defaultdict[GroupKey, int] = defaultdict(int)
        content: defaultdict[GroupKey, float] = defaultdict(float)
        for key in keys:
            cell = self._cells[key]
            score = apdex_of(cell, self._target_of(None if at is None else key[at])) or 0.0
            group = tuple([key[position] for position in positions])
            calls[group] += cell.calls
            content[group] += score * cell.calls
        for group, count in calls.items():
            yield group, count, content[group] / count

    def durations(self, key: GroupKey) -> ExponentialHistogram:
        """Return all durations of one of the `groups`."""
        return self._cells[key].durations

    def last_seen_s(self, group_by: Sequence[GroupBy], keys: Sequence[GroupKey]) -> Mapping[GroupKey, int]:
        """Return the start of the latest bucket with a call, by group as `select` has them."""
        positions = [self.fields.index(field) for field in group_by]
        seen: dict[GroupKey, int] = {}
        for key in keys:
            group = tuple([key[position] for position in positions])
            seen[group] = max(seen.get(group, 0), self._cells[key].last_s)
        return seen

    def _total(self, key: GroupKey) -> RedTotal:
        total = self._totals.get(key)
        if total is None:
            total = self._totals[key] = total_of(self._cells[key], self.end_s - self.start_s)
        return total


class SlidingTotals:
    """Windows of `window_s` seconds, one for the end of each step that a whole window lies before."""

    def __init__(
        self,
        fields: Sequence[GroupBy],
        blocks: Sequence[Block],
        columns: Sequence[Cells],
        window_s: int,
        target_of: TargetOf = default_target,
    ) -> None:
        self._target_of = target_of
        self.fields = tuple(fields)
        self.window_s = window_s
        self.step_s = blocks[0].end_s - blocks[0].start_s
        self._blocks = blocks
        self._columns = columns

    def windows(self) -> Iterator[WindowTotals]:
        """Yield the windows in the order of time; each is made when it is its turn."""
        count = self.window_s // self.step_s
        queues: defaultdict[GroupKey, _Queue] = defaultdict(_Queue)
        sums: dict[GroupKey, Cell] = {}
        for last, column in enumerate(self._columns):
            first = last - count + 1
            for key, cell in column.items():
                queues[key].push(last, cell)
            changed = dict.fromkeys(column)
            if first > 0:
                changed |= dict.fromkeys(self._columns[first - 1])
            for key in changed:
                total = queues[key].total(first)
                if total is None:
                    del queues[key], sums[key]
                else:
                    sums[key] = total
            if first >= 0:
                start_s, end_s = self._blocks[first].start_s, self._blocks[last].end_s
                yield WindowTotals(self.fields, start_s, end_s, [sums], self._target_of)


class _Queue:
    """The cells of one group that a window holds, and their sum, for the price of a few additions for each cell.

    Two stacks: of the older one each entry is the sum of itself and all that came after it, so that the oldest may be
    left out without subtracting, which minimum and maximum do not allow. It is made anew only when it is used up.
    """

    def __init__(self) -> None:
        self._older: list[tuple[int, Cell]] = []
        self._newer: list[tuple[int, Cell]] = []
        self._newer_sum: Cell | None = None

    def push(self, number: int, cell: Cell) -> None:
        """Take in the cell of a later block."""
        self._newer.append((number, cell))
        self._newer_sum = _sum(self._newer_sum, cell)

    def total(self, first: int) -> Cell | None:
        """Return the sum of the blocks from `first` on, and forget those before."""
        while self._older and self._older[-1][0] < first:
            self._older.pop()
        if not self._older and self._newer and self._newer[0][0] < first:
            total: Cell | None = None
            for number, cell in reversed(self._newer):
                if number < first:
                    break
                total = _sum(total, cell)
                self._older.append((number, total))
            self._newer, self._newer_sum = [], None
        if not self._older:
            return self._newer_sum
        oldest = self._older[-1][1]
        return oldest if self._newer_sum is None else _sum(oldest, self._newer_sum)


def _sum(first: Cell | None, second: Cell) -> Cell:
    both = second if first is None else sum_of_cells((first, second))
    assert both is not None
    return both


def _joined(columns: Sequence[Cells]) -> dict[GroupKey, Cell]:
    parts: defaultdict[GroupKey, list[Cell]] = defaultdict(list)
    for column in columns:
        for key, cell in column.items():
            parts[key].append(cell)
    sums = {key: sum_of_cells(cells) for key, cells in parts.items()}
    return {key: cell for key, cell in sums.items() if cell is not None and cell.calls}
