"""The bound on how many groups an answer holds: the largest stay, the rest become one, so that totals stay exact.

Pure; used by `query/assembly.py`. One sender that puts an id into its service name must not take the answer from all.
The name of the rest is the attribute by which OpenTelemetry's SDKs mark the same (Metrics SDK, "Overflow attribute").
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Final, TypeVar

from query.cells import Cells, sum_of_cells
from query.grouping import GroupKey
from telemetry.conventions import METRIC_OVERFLOW

OVERFLOW: Final = METRIC_OVERFLOW
"""Every label of the group, and the name of the service, that the smallest groups of an answer are added up into."""

_K = TypeVar("_K", str, GroupKey)


def largest(calls: Mapping[_K, int], limit: int, overflow: _K) -> Collection[_K]:
    """Return the groups that keep their own place among `limit`: all, or the largest and room for `overflow`.

    Of equal ones the first by name stay, so that an answer does not flicker.
    """
    if len(calls) <= limit:
        return calls.keys()
    named = (key for key in calls if key != overflow)
    return set(heapq.nsmallest(limit - 1, named, key=lambda key: (-calls[key], key)))


def folded(columns: Sequence[Cells], limit: int) -> Sequence[Cells]:
    """Return the cells of each step with at most `limit` groups in all."""
    calls: Counter[GroupKey] = Counter()
    for column in columns:
        for key, cell in column.items():
            calls[key] += cell.calls
    if len(calls) <= limit:
        return columns
    overflow = (OVERFLOW,) * len(next(iter(calls)))
    kept = largest(calls, limit, overflow)
    return [_fold(column, kept, overflow) for column in columns]


def _fold(column: Cells, kept: Collection[GroupKey], overflow: GroupKey) -> Cells:
    cells = {key: cell for key, cell in column.items() if key in kept}
    rest = sum_of_cells(cell for key, cell in column.items() if key not in kept)
    return cells if rest is None else {**cells, overflow: rest}
