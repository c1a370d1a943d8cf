"""The last minutes of RED points at one second, held in memory.

Both live feeds fill one, in-process directly and over Redis from its stream; query reads it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from itertools import chain
from typing import Final, NamedTuple

from telemetry import RedPoint, SeriesKey, merge_red_points

Second = dict[SeriesKey, RedPoint]
_KNOWN_EVERYWHERE_S: Final = 60


class CallTotal(NamedTuple):
    """All calls of some time, whatever their series, and how many of them failed."""

    calls: int
    errors: int


_NO_CALLS = CallTotal(0, 0)


class LiveWindow:
    """Points of the last `length_s` seconds, and since when they are known to be all there are.

    `complete_since_s` is the Unix second from which on every committed point is here, whoever committed it; `None`
    while nothing is known. Each second has a revision that changes whenever one of its points does, so that readers can
    keep what they derived. One thread writes; others may read meanwhile.

    Bounded: points from before the window, or further ahead than it is long, are left out; beyond `max_points` the
    oldest seconds go. The window is complete only after whatever went or came too late, also when the clock that
    made it old is put back. 100 000 points take 40 to 65 MB.
    """

    def __init__(self, length_s: int, max_points: int = 400_000) -> None:
        self.length_s = length_s
        self.max_points = max_points
        self.complete_since_s: int | None = None
        self._seconds: dict[int, Second] = {}
        self._revisions: dict[int, int] = {}
        self._totals: dict[int, CallTotal] = {}
        self._revision = 0
        self._point_count = 0
        self._dropped_to_s = 0
        self._series: dict[SeriesKey, SeriesKey] = {}

    def add(self, points: Iterable[RedPoint], now_s: int) -> None:
        """Add points of 1 s buckets; those outside the window are left out."""
        oldest_s, newest_s = now_s - self.length_s, now_s + self.length_s
        meeting: dict[tuple[int, SeriesKey], list[RedPoint]] = {}
        touched: set[int] = set()
        for point in points:
            if oldest_s <= point.start_s <= newest_s:
                self._add(point, meeting)
                touched.add(point.start_s)
            elif point.start_s < oldest_s:
                # Nothing is claimed of what lies ahead: a claim that began there would leave the window unused.
                self._dropped_to_s = max(self._dropped_to_s, point.start_s + 1)
        for total in merge_red_points(chain.from_iterable(meeting.values())):
            self._seconds[total.start_s][total.series] = total
        for second in touched:
            self._revision += 1
            self._revisions[second] = self._revision
        for second in [second for second in self._seconds if second < oldest_s]:
            self._forget(second)
        while self._point_count > self.max_points:
            self._forget(min(self._seconds))
        self.restart(self.complete_since_s)

    def resize(self, length_s: int, max_points: int, now_s: int) -> None:
        """Be as long as this from now on. A longer window is complete only after what the shorter one left out.

        So is it after what other processes leave out that know of the change a moment later.
        """
        if length_s > self.length_s:
            self._dropped_to_s = max(self._dropped_to_s, now_s - self.length_s + _KNOWN_EVERYWHERE_S)
            self.restart(self.complete_since_s)
        self.length_s, self.max_points = length_s, max_points

    def restart(self, complete_since_s: int | None) -> None:
        """Count the window as complete only from this second on; what it holds from before stays readable."""
        self.complete_since_s = None if complete_since_s is None else max(complete_since_s, self._dropped_to_s)

    def clear(self) -> None:
        """Forget every point, and since when the window is complete."""
        self.complete_since_s = None
        self._seconds.clear()
        self._revisions.clear()
        self._totals.clear()
        self._series.clear()
        self._point_count = self._dropped_to_s = 0

    def covers(self, start_s: int, now_s: int) -> bool:
        """Tell whether every committed point since `start_s` is here."""
        return (
            self.complete_since_s is not None and start_s >= self.complete_since_s and start_s >= now_s - self.length_s
        )

    def points(self, start_s: int, end_s: int) -> Iterator[RedPoint]:
        """Yield the points with `start_s <= point.start_s < end_s`, in time order."""
        for second in range(start_s, end_s):
            # A tuple, because the writer may add to the second while a reader's thread goes through it.
            yield from tuple(self._seconds.get(second, {}).values())

    def series(self, start_s: int, end_s: int) -> set[SeriesKey]:
        """Return the series that have points with `start_s <= point.start_s < end_s`; not while a thread writes."""
        return set[SeriesKey]().union(*(self._seconds.get(second, {}) for second in range(start_s, end_s)))

    def points_of(self, series: Collection[SeriesKey], start_s: int, end_s: int) -> Iterator[RedPoint]:
        """Yield the points of these series only, in time order; quick when they are few."""
        for second in range(start_s, end_s):
            yield from filter(None, map(self._seconds.get(second, {}).get, series))

    def revision(self, start_s: int, end_s: int) -> int:
        """Return a number that grows when any point of [start_s, end_s) changes; 0 when there are none."""
        return max((self._revisions.get(second, 0) for second in range(start_s, end_s)), default=0)

    def call_total(self, start_s: int, end_s: int) -> CallTotal:
        """Return the calls of all points with `start_s <= point.start_s < end_s`."""
        totals = [self._totals.get(second, _NO_CALLS) for second in range(start_s, end_s)]
        return CallTotal(sum(total.calls for total in totals), sum(total.errors for total in totals))

    @property
    def newest_s(self) -> int | None:
        """The latest second that holds a point."""
        return max(tuple(self._seconds), default=None)

    @property
    def point_count(self) -> int:
        """How many points are held."""
        return self._point_count

    def _add(self, point: RedPoint, meeting: dict[tuple[int, SeriesKey], list[RedPoint]]) -> None:
        """Add a point; those that meet another of their series are gathered, as many are added up in less time."""
        second = self._seconds.setdefault(point.start_s, {})
        known = second.get(point.series)
        if known is None:
            series = self._shared(point.series)
            second[series] = point if series is point.series else replace(point, series=series)
            self._point_count += 1
        else:
            meeting.setdefault((point.start_s, known.series), [known]).append(point)
        calls, errors = self._totals.get(point.start_s, _NO_CALLS)
        self._totals[point.start_s] = CallTotal(calls + point.calls, errors + point.errors)

    def _shared(self, series: SeriesKey) -> SeriesKey:
        """Return the one object that stands for this series; a key of its own per point would double the memory."""
        if len(self._series) > self.max_points:
            self._series.clear()
        return self._series.setdefault(series, series)

    def _forget(self, second: int) -> None:
        self._point_count -= len(self._seconds.pop(second))
        del self._revisions[second]
        del self._totals[second]
        self._dropped_to_s = max(self._dropped_to_s, second + 1)
