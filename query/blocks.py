"""Cutting time into blocks: steps of equal width for charts, the fewest aligned blocks for totals.

Pure arithmetic on Unix seconds; blocks are half-open, so that every call falls into exactly one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

_COVER_FACTORS: Final = (86_400, 360, 60, 6, 1)
"""Widths of covering blocks in source buckets: 1 d, 6 min, 1 min, 6 s, 1 s live; 1 h, 10 min, 1 min, 10 s in history.

Those of the history are made of whole buckets of its tiers. The widest are for the years in which a live window that
has all there is holds nothing."""

_NICE_STEPS_S: Final = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_200, 1_800, 3_600, 7_200, 21_600, 43_200, 86_400)


class Block(NamedTuple):
    """The time [start_s, end_s)."""

    start_s: int
    end_s: int


def floor_to(second: int, width_s: int) -> int:
    """Return the last multiple of `width_s` that is not after `second`."""
    return second - second % width_s


def ceil_to(second: int, width_s: int) -> int:
    """Return the first multiple of `width_s` that is not before `second`."""
    return second + -second % width_s


def widened(start_s: int, step_s: int, bucket_s_at: Callable[[int], int]) -> int:
    """Return the step as a multiple of the buckets that there are where the first step begins, a multiple of it too.

    The widths of buckets divide each other. A wider step may begin earlier, where buckets are wider.
    """
    while step_s % (bucket_s := bucket_s_at(floor_to(start_s, step_s))):
        step_s = ceil_to(step_s, bucket_s)
    return step_s


def steps(start_s: int, end_s: int, step_s: int) -> list[Block]:
    """Cut [start_s, end_s) into blocks of `step_s`; the last one ends at `end_s`."""
    return [Block(second, min(second + step_s, end_s)) for second in range(start_s, end_s, step_s)]


def covering(cuts_s: Sequence[int], bucket_s: int) -> list[Block]:
    """Cover the time between the first and the last of the sorted `cuts_s`, no block crossing any of them.

    Blocks are as wide as alignment to the epoch allows. Windows that slide by a second share most of them, so that
    what was derived for one question serves the next.
    """
    widths = [factor * bucket_s for factor in _COVER_FACTORS]
    blocks: list[Block] = []
    for start_s, end_s in pairwise(cuts_s):
        while start_s < end_s:
            fitting = (width for width in widths if start_s % width == 0 and start_s + width <= end_s)
            width = next(fitting, min(ceil_to(start_s + 1, bucket_s), end_s) - start_s)
            blocks.append(Block(start_s, start_s + width))
            start_s += width
    return blocks


def nice_step_s(range_s: int, about: int = 300) -> int:
    """Return the smallest round step that cuts `range_s` seconds into at most `about` steps."""
    return next((step for step in _NICE_STEPS_S if step * about >= range_s), _NICE_STEPS_S[-1])
