"""The limit on how many series are kept: what goes beyond it is added up in an overflow series, so totals stay exact.

Stands between `aggregation` and the commit. One sender that puts an id into an attribute must not fill the store of
all; it is told apart by service, estimated, and the attribute that causes it is named. What overflow series are made of
differs: see `red_series_limits.py` and `metric_series_limits.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Final, Generic, TypeVar

import structlog

from processor.cardinality import DistinctCount
from telemetry import NowNs, RedPoint, SeriesKey, SeriesOverflow
from telemetry.conventions import METRIC_OVERFLOW
from telemetry.metric_points import MetricPoint
from telemetry.metric_series import MetricSeriesKey

_NS_PER_S: Final = 1_000_000_000
_SWEEP_INTERVAL_S: Final = 10
_MAX_REPORTS: Final = 50
_REMEMBERED_REJECTIONS: Final = 100_000
_MAX_FIELDS: Final = 64

Key = TypeVar("Key", SeriesKey, MetricSeriesKey)
Point = TypeVar("Point", RedPoint, MetricPoint)

_log = structlog.get_logger(__name__)


class Service(Generic[Key]):
    """The series of one service that are kept, by when they were last seen, and what went beyond them.

    `kinds` are what `SeriesLimits.kind_of` says of those that are kept; `seen_s` is when any series was last seen.
    """

    def __init__(self) -> None:
        self.seen_s = 0
        self.last_seen_s: dict[Key, int] = {}
        self.kinds: set[Hashable] = set()
        self.beyond: _Beyond | None = None


class _Beyond:
    """Estimates over all series of a service, the kept and the others, since the first one too many."""

    def __init__(self) -> None:
        self.last_seen_s = 0
        self.series = DistinctCount()
        self.fields: dict[str, DistinctCount] = {}

    def add(self, series: Sequence[Iterable[str]], fields: Iterable[Mapping[str, str]]) -> None:
        self.series.add("\0".join(one) for one in series)
        values: dict[str, set[str]] = {}
        for of_one in fields:
            for field, value in of_one.items():
                values.setdefault(field, set()).add(value)
        for field, found in values.items():
            if field in self.fields or len(self.fields) < _MAX_FIELDS:
                self.fields.setdefault(field, DistinctCount()).add(found)


class SeriesLimits(ABC, Generic[Key, Point]):
    """Admits series up to the limits and forgets those that were idle for `idle_s`. Not for several threads at once.

    Up to `max_late_services` that first came when no more series were kept have overflow series of their own.
    """

    def __init__(
        self, max_per_service: int, max_series: int, max_late_services: int, idle_s: int, now_ns: NowNs
    ) -> None:
        self.max_per_service = max_per_service
        self.max_series = max_series
        self._max_late_services = max_late_services
        self._idle_s = idle_s
        self._now_ns = now_ns
        self._services: dict[str, Service[Key]] = {}
        self._count = 0
        self._late_count = 0  # services of which no series is kept
        self._swept_s = 0
        self._rejected: set[Key] = set()
        # What came of services without a place; told under the name that their figures stand under.
        self._strangers: Service[Key] = Service()

    def allow(self, max_per_service: int, max_series: int) -> None:
        """Admit up to so many from now on, from any thread; those that are kept beyond it stay until they are idle."""
        self.max_per_service, self.max_series = max_per_service, max_series

    @abstractmethod
    def series_of(self, point: Point) -> Key:
        """Return the series of a point."""

    @abstractmethod
    def kind_of(self, series: Key) -> Hashable:
        """Return what an overflow series may keep of a series if another with the same is kept apart."""

    @abstractmethod
    def fields_of(self, series: Key) -> Mapping[str, str]:
        """Return what may be the cause of too many series, by name."""

    @abstractmethod
    def overflowed(self, beyond: Sequence[Point]) -> Iterable[Point]:
        """Return the points of series beyond the limits as those of overflow series."""

    def service_of(self, series: Key) -> Service[Key] | None:
        """Return what is known of a series' service, `None` if it has no place."""
        return self._services.get(series.service_name)

    @property
    def series_count(self) -> int:
        """How many series are kept now, overflow series aside."""
        return self._count

    @property
    def overflowing_count(self) -> int:
        """How many services have too many series now."""
        return sum(service.beyond is not None for _, service in self._watched())

    def bounded(self, points: Iterable[Point]) -> list[Point]:
        """Return the points with those of series beyond the limits as those of overflow series."""
        now_s = self._now_ns() // _NS_PER_S
        if now_s - self._swept_s >= _SWEEP_INTERVAL_S:
            self._forget_idle(now_s)
        kept: list[Point] = []
        beyond: list[Point] = []
        for point in points:
            (kept if self._admits(self.series_of(point), now_s) else beyond).append(point)
        if beyond:
            self._note_rejections(set(map(self.series_of, beyond)), now_s)
            kept += self.overflowed(beyond)
        return kept

    def overflows(self) -> list[SeriesOverflow]:
        """Return what is known of each service with too many series, the worst first."""
        found = [
            _overflow(name, service, service.beyond) for name, service in self._watched() if service.beyond is not None
        ]
        return sorted(found, key=lambda overflow: -overflow.estimate)

    def _watched(self) -> list[tuple[str, Service[Key]]]:
        watched: list[tuple[str, Service[Key]]] = list(self._services.items())
        watched.append((METRIC_OVERFLOW, self._strangers))
        return watched

    def _admits(self, series: Key, now_s: int) -> bool:
        service = self._services.get(series.service_name)
        is_full = self._count >= self.max_series
        if service is None:
            if is_full and self._late_count >= self._max_late_services:
                return False
            service = self._services[series.service_name] = Service()
            self._late_count += 1
        service.seen_s = now_s
        if series not in service.last_seen_s:
            if is_full or len(service.last_seen_s) >= self.max_per_service:
                return False
            self._late_count -= not service.last_seen_s
            self._count += 1
            service.kinds.add(self.kind_of(series))
        service.last_seen_s[series] = now_s
        return True

    def _note_rejections(self, rejected: set[Key], now_s: int) -> None:
        if len(self._rejected) > _REMEMBERED_REJECTIONS:
            self._rejected.clear()
        new: dict[str, list[Key]] = {}
        for series in rejected:
            is_known = series.service_name in self._services
            found = new.setdefault(series.service_name if is_known else METRIC_OVERFLOW, [])
            if series not in self._rejected:
                self._rejected.add(series)
                found.append(series)
        for name, found in new.items():
            service = self._services.get(name, self._strangers)
            beyond = self._estimates_of(name, service)
            if beyond is not None:
                beyond.last_seen_s = now_s
                if found and service is self._strangers:
                    named = [{**self.fields_of(series), "service_name": series.service_name} for series in found]
                    beyond.add(found, named)
                elif found:
                    beyond.add(found, map(self.fields_of, found))

    def _estimates_of(self, name: str, service: Service[Key]) -> _Beyond | None:
        if service.beyond is None:
            if service is not self._strangers and self.overflowing_count >= _MAX_REPORTS:
                return None
            service.beyond = _Beyond()
            service.beyond.add(list(service.last_seen_s), map(self.fields_of, service.last_seen_s))
            _log.warning("too many series: the rest is added up", service=name, kept=len(service.last_seen_s))
        return service.beyond

    def _forget_idle(self, now_s: int) -> None:
        self._swept_s = now_s
        oldest_s = now_s - self._idle_s
        for name, service in list(self._services.items()):
            active = {series: seen_s for series, seen_s in service.last_seen_s.items() if seen_s >= oldest_s}
            if len(active) < len(service.last_seen_s):
                self._count -= len(service.last_seen_s) - len(active)
                service.last_seen_s = active
                service.kinds = set(map(self.kind_of, active))
            _end_report(service, oldest_s)
            if service.seen_s < oldest_s:
                del self._services[name]
        self._late_count = sum(not service.last_seen_s for service in self._services.values())
        _end_report(self._strangers, oldest_s)


def _end_report(service: Service[Key], oldest_s: int) -> None:
    if service.beyond is not None and service.beyond.last_seen_s < oldest_s:
        service.beyond = None


def _overflow(name: str, service: Service[Key], beyond: _Beyond) -> SeriesOverflow:
    distinct = {field: count.estimate() for field, count in beyond.fields.items()}
    kept = len(service.last_seen_s)
    cause = max(distinct, key=distinct.__getitem__, default="")
    return SeriesOverflow(name, kept, max(kept, beyond.series.estimate()), distinct, cause)
