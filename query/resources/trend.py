"""Whether something grows, and how fast, told robustly: no single outlier makes a trend or hides one.

Pure. The slope is the median of the slopes of all pairs of points (P. K. Sen, 1968); that it is no accident is asked of
the signs of the same pairs (H. B. Mann, 1945, M. G. Kendall, 1975).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

_MIN_POINTS: Final = 30
_SURE_Z: Final = 3.29
"""One in a thousand, on both sides; memory that only jitters shall not be called leaking every other day."""
_LASTING_SHARE: Final = 0.5


class Trend(NamedTuple):
    """How a course goes on: `per_s` is its slope, `is_growing` whether that is sure and lasts to the end."""

    per_s: float
    is_growing: bool


def trend_of(times_s: Sequence[float], values: Sequence[float]) -> Trend | None:
    """Return the trend of values in time order; `None` of fewer than 30.

    It lasts if the later half alone grows by at least half the slope of the whole: what filled up at the start of a
    process and stays there grows no more.
    """
    if len(values) < _MIN_POINTS:
        return None
    times, course = np.asarray(times_s, float), np.asarray(values, float)
    per_s = _slope(times, course)
    middle = len(course) // 2
    lasts = _slope(times[middle:], course[middle:]) >= _LASTING_SHARE * per_s
    return Trend(per_s, bool(per_s > 0 and lasts and _certainty(course) > _SURE_Z))


def _slope(times: np.ndarray, course: np.ndarray) -> float:
    first, second = np.triu_indices(len(course), 1)
    return float(np.median((course[second] - course[first]) / (times[second] - times[first])))


def _certainty(course: np.ndarray) -> float:
    """Return the Mann-Kendall statistic: how many standard deviations the order of the values is from none."""
    count = len(course)
    first, second = np.triu_indices(count, 1)
    score = float(np.sign(course[second] - course[first]).sum())
    return (score - math.copysign(1, score)) / math.sqrt(count * (count - 1) * (2 * count + 5) / 18) if score else 0.0
