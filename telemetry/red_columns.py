"""Many RED points as columns: what a large read of the history returns, and what answers are added up from.

A point of its own for each row would cost more than reading it; whoever wants points gets them one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray

from telemetry.exponential_histogram import ExponentialHistogram
from telemetry.red_point import RedPoint
from telemetry.series import SeriesKey


@dataclass(frozen=True, eq=False, slots=True)
class RedColumns(Sequence[RedPoint]):
    """A sequence of points. Row i is about `series[series_index[i]]`; `durations` are histograms at rest."""

    series: Sequence[SeriesKey]
    series_index: NDArray[np.int64]
    start_s: NDArray[np.int64]
    calls: NDArray[np.int64]
    errors: NDArray[np.int64]
    durations: Sequence[bytes]

    @classmethod
    def of(cls, points: Iterable[RedPoint]) -> RedColumns:
        """Return these points as columns, in their order."""
        points = list(points)
        indexes: dict[SeriesKey, int] = {}
        return cls(
            series_index=_whole(indexes.setdefault(point.series, len(indexes)) for point in points),
            series=list(indexes),
            start_s=_whole(point.start_s for point in points),
            calls=_whole(point.calls for point in points),
            errors=_whole(point.errors for point in points),
            durations=[point.durations.to_bytes() for point in points],
        )

    def take(self, rows: NDArray[np.int64]) -> RedColumns:
        """Return these rows, in this order."""
        durations = list(map(self.durations.__getitem__, rows.tolist()))
        return RedColumns(
            self.series, self.series_index[rows], self.start_s[rows], self.calls[rows], self.errors[rows], durations
        )

    def __len__(self) -> int:
        return len(self.durations)

    @overload
    def __getitem__(self, index: int) -> RedPoint: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[RedPoint]: ...
    def __getitem__(self, index: int | slice) -> RedPoint | Sequence[RedPoint]:
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        return RedPoint(
            self.series[self.series_index[index]],
            int(self.start_s[index]),
            int(self.calls[index]),
            int(self.errors[index]),
            ExponentialHistogram.from_bytes(self.durations[index]),
        )


def _whole(values: Iterable[int]) -> NDArray[np.int64]:
    return np.fromiter(values, dtype=np.int64)
