"""The spans of one batch as the decoder saw them, a row each, for whoever chooses some of them to be kept.

Made by `span_columns.py`, read by `trace_keeper.py`. Spans themselves are not held, as thousands of objects would cost
the collector of garbage more than finding the few that are wanted again.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from processor.attributes import Resource
from telemetry import SeriesKey

EXCLUDED: Final = -1
SKIPPED: Final = -2
"""Outcomes of spans without a series: left out by a rule, or of a kind that none is kept of."""


@dataclass(frozen=True, slots=True, eq=False)
class SeenSpans:
    """All spans of a batch of a kind that is understood.

    `outcome` is twice the index of a span's series, plus one for an error, or one of those above. Times that are
    impossible or too late are not `is_timely`. `scopes` are the first row, the spans and the resource of each scope, of
    which those of other kinds than `kinds` have no row.
    """

    scopes: Sequence[tuple[int, Sequence[Any], Resource]]
    kinds: Collection[int]
    trace_ids: Sequence[bytes]
    series: Sequence[SeriesKey]
    outcome: NDArray[np.int64]
    start_ns: NDArray[np.uint64]
    end_ns: NDArray[np.uint64]
    is_possible: NDArray[np.bool_]
    is_timely: NDArray[np.bool_]

    def spans_of(self, rows: Sequence[int]) -> Iterator[tuple[int, Any, Resource]]:
        """Yield rows in their order, each with its span and its resource."""
        firsts = [first for first, _, _ in self.scopes]
        known, spans = -1, list[Any]()
        for row in sorted(rows):
            place = bisect_right(firsts, row) - 1
            if place != known:
                known, spans = place, [span for span in self.scopes[place][1] if span.kind in self.kinds]
            yield row, spans[row - firsts[place]], self.scopes[place][2]
