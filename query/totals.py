"""RED over one window by any grouping, kept apart finely enough that many may ask of it: one reading for many rules.

Pure; made by `query/component.py` for alerts, which group and filter it each in their own way.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from query.answers import GroupBy, RedTotal
from query.blocks import Block
from query.cells import Cell, Cells, sum_of_cells, total_of
from query.grouping import GroupKey
from telemetry import ExponentialHistogram


class WindowTotals:
    """The groups that had calls in [start_s, end_s), by the values of `fields`.

    Totals are computed when they are first asked for, each once.
    """

    def __init__(self, fields: Sequence[GroupBy], start_s: int, end_s: int, columns: Sequence[Cells]) -> None:
        self.fields = tuple(fields)
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
        self, fields: Sequence[GroupBy], blocks: Sequence[Block], columns: Sequence[Cells], window_s: int
    ) -> None:
        self.fields = tuple(fields)
        self.window_s = window_s
        self.step_s = blocks[0].end_s - blocks[0].start_s
        self._blocks = blocks
        self._columns = columns

    def windows(self) -> Iterator[WindowTotals]:
        """Yield the windows in the order of time; each is made when it is its turn."""
        count = self.window_s // self.step_s
        for last in range(count - 1, len(self._blocks)):
            first = last - count + 1
            start_s, end_s = self._blocks[first].start_s, self._blocks[last].end_s
            yield WindowTotals(self.fields, start_s, end_s, self._columns[first : last + 1])


def _joined(columns: Sequence[Cells]) -> dict[GroupKey, Cell]:
    parts: defaultdict[GroupKey, list[Cell]] = defaultdict(list)
    for column in columns:
        for key, cell in column.items():
            parts[key].append(cell)
    sums = {key: sum_of_cells(cells) for key, cells in parts.items()}
    return {key: cell for key, cell in sums.items() if cell is not None and cell.calls}
