"""The kinds of points that the history keeps, each in tables of its own: RED points and metrics.

What commits, roll-ups and deletes do, they do alike for each kind; the tiers, what is due and what is held are common.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Table

from storage.commits import sum_rows
from storage.metric_rows import sum_metric_rows
from storage.tiers import Tier


@dataclass(frozen=True, slots=True)
class RowKind:
    """How rows of one kind are read, added up and where they are."""

    columns: str
    sum_rows: Callable[[Sequence[Any], int], list[Any]]
    """Add up rows into buckets of so many seconds, one row for each start and series, sorted."""
    table_of: Callable[[Tier], Table]


RED_ROWS: Final = RowKind("start_s, series_id, calls, errors, durations", sum_rows, lambda tier: tier.table)
METRIC_ROWS: Final = RowKind("start_s, series_id, state", sum_metric_rows, lambda tier: tier.metric_table)
ROW_KINDS: Final = (RED_ROWS, METRIC_ROWS)
