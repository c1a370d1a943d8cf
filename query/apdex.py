"""Apdex: one number from 0 to 1 for how content callers are with how fast they are answered.

Pure; made of the merged histograms of an answer, never of other scores. With a target T, calls up to T are satisfied,
those up to 4T are tolerating, all others are frustrated, and so is every call that failed, however fast: (satisfied +
tolerating / 2) / calls (Apdex Alliance, "Apdex Technical Specification" 1.1).

T lies within one bucket of the histogram, 1.1 % wide, of which a part in proportion is counted: what is counted wrongly
is less than the calls of that bucket. Where T is a power of two seconds, such as the default, nothing is.
"""

from __future__ import annotations

from typing import Final

from query.cells import Cell

_TOLERABLE: Final = 4


def apdex_of(cell: Cell | None, target_s: float) -> float | None:
    """Return the score of the calls of a cell, nothing without calls.

    Where calls of one series failed and others did not, as those without an HTTP status may, their durations are kept
    together: the failed ones then count as spread over them evenly.
    """
    if cell is None or not cell.calls:
        return None
    mixed = cell.calls - cell.failed.count
    answered = (cell.calls - cell.errors) / mixed if mixed else 0.0
    satisfied, tolerable = (
        (cell.durations.count_within(limit_s) - cell.failed.count_within(limit_s)) * answered
        for limit_s in (target_s, _TOLERABLE * target_s)
    )
    return min(max((satisfied + tolerable) / 2 / cell.calls, 0.0), 1.0)
