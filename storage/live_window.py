"""The last minutes of RED points at one second, held in memory.

Both live feeds fill one, in-process directly and over Redis from its stream; query reads it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from telemetry import ExponentialHistogram, RedPoint, SeriesKey

Second = dict[SeriesKey, RedPoint]


class LiveWindow:
    """Points of the last `length_s` seconds, and since when they are known to be all there are.

    `complete_since_s` is the Unix second from which on every committed point is here; `None` before anything is known.
    Each second has a revision that changes whenever one of its points does, so that readers can keep what they derived.
    """

    def __init__(self, length_s: int) -> None:
        self.length_s = length_s
        self.complete_since_s: int | None = None
        self._seconds: dict[int, Second] = {}
        self._revisions: dict[int, int] = {}
        self._revision = 0

    def add(self, points: Iterable[RedPoint], now_s: int) -> None:
        """Add points of 1 s buckets; those older than the window are left out."""
        oldest_s = now_s - self.length_s
        for point in points:
            if point.start_s < oldest_s:
                continue
            second = self._seconds.setdefault(point.start_s, {})
            known = second.get(point.series)
            second[point.series] = point if known is None else _sum_of(known, point)
            self._revision += 1
            self._revisions[point.start_s] = self._revision
        self._forget_before(oldest_s)

    def restart(self, complete_since_s: int) -> None:
        """Count the window as complete only from this second on; what it holds from before stays readable."""
        self.complete_since_s = complete_since_s

    def covers(self, start_s: int, now_s: int) -> bool:
        """Tell whether every committed point since `start_s` is here."""
        return (
            self.complete_since_s is not None and start_s >= self.complete_since_s and start_s >= now_s - self.length_s
        )

    def points(self, start_s: int, end_s: int) -> Iterator[RedPoint]:
        """Yield the points with `start_s <= point.start_s < end_s`, in time order."""
        for second in range(start_s, end_s):
            yield from self._seconds.get(second, {}).values()

    def revision(self, start_s: int, end_s: int) -> int:
        """Return a number that grows when any point of [start_s, end_s) changes; 0 when there are none."""
        return max((self._revisions.get(second, 0) for second in range(start_s, end_s)), default=0)

    @property
    def newest_s(self) -> int | None:
        """The latest second that holds a point."""
        return max(self._seconds, default=None)

    def _forget_before(self, oldest_s: int) -> None:
        for second in [second for second in self._seconds if second < oldest_s]:
            del self._seconds[second]
            del self._revisions[second]


def _sum_of(first: RedPoint, second: RedPoint) -> RedPoint:
    return RedPoint(
        first.series,
        first.start_s,
        first.calls + second.calls,
        first.errors + second.errors,
        ExponentialHistogram.merge([first.durations, second.durations]),
    )
