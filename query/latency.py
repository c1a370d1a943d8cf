"""From cells to the spread of durations over time, in few enough buckets to be drawn.

Pure; run by `query/component.py`. Two neighbouring buckets of an exponential histogram are exactly one bucket of half
the resolution (OpenTelemetry, "Metrics Data Model", ExponentialHistogram: downscaling), so that no count is guessed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from query.answers import LatencyAnswer, LatencyStep
from query.blocks import Block
from query.cells import Cells, sum_of_cells
from query.sources import SourceName
from telemetry.exponential_histogram import BASE, MAX_INDEX, MIN_INDEX, OVERFLOW_INDEX, ZERO_INDEX

MOST_BUCKETS: Final = 48
"""About as many as can be told apart in a chart."""


def latency_answer(blocks: Sequence[Block], columns: Sequence[Cells], step_s: int, source: SourceName) -> LatencyAnswer:
    """Make the answer from the cells of each step, whatever they are grouped by."""
    counts = [_counts_of(column) for column in columns]
    indexes = {index for column in counts for index in column}
    lowest, highest = _ends_of(indexes)
    shift = _shift_for(lowest, highest)
    first, last = lowest >> shift, highest >> shift
    # Those outside of all bounds are counted at their ends.
    places = {index: index >> shift for index in indexes} | {ZERO_INDEX: first, OVERFLOW_INDEX: last}
    width = last - first + 1 if indexes else 0
    steps = []
    for block, column in zip(blocks, counts, strict=True):
        row = [0] * width
        for index, count in column.items():
            row[places[index] - first] += count
        steps.append(LatencyStep(block.start_s, tuple(row)))
    bounds = tuple(BASE ** (place << shift) for place in range(first, last + 2)) if indexes else ()
    return LatencyAnswer(blocks[0].start_s, blocks[-1].end_s, step_s, source, bounds, tuple(steps))


def _counts_of(cells: Cells) -> Mapping[int, int]:
    total = sum_of_cells(cells.values())
    return {} if total is None else total.durations.bucket_counts()


def _ends_of(indexes: set[int]) -> tuple[int, int]:
    """Return the first and the last bucket with bounds; what lies beyond counts only when there is nothing else."""
    within = indexes - {ZERO_INDEX, OVERFLOW_INDEX}
    if not within:
        return (MIN_INDEX, MIN_INDEX) if ZERO_INDEX in indexes else (MAX_INDEX, MAX_INDEX)
    return min(within), max(within)


def _shift_for(lowest: int, highest: int) -> int:
    """Return how often buckets must be joined in pairs until few enough cover all."""
    shift = 0
    while (highest >> shift) - (lowest >> shift) >= MOST_BUCKETS:
        shift += 1
    return shift
