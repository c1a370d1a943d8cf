"""The limit on how many series are kept: what goes beyond it is added up in an overflow series, so totals stay exact.

Stands between `aggregation` and the commit. One sender that puts an id into an attribute must not fill the store of
all; it is told apart by service, estimated, and the attribute that causes it is named.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

import structlog

from processor.cardinality import DistinctCount
from telemetry import NowNs, RedPoint, SeriesKey, SeriesOverflow, merge_red_points
from telemetry.conventions import METRIC_OVERFLOW

_NS_PER_S: Final = 1_000_000_000
_SWEEP_INTERVAL_S: Final = 10
_MAX_REPORTS: Final = 50
_REMEMBERED_REJECTIONS: Final = 100_000

_log = structlog.get_logger(__name__)


class _Service:
    """The series of one service that are kept, by when they were last seen, and what went beyond them."""

    def __init__(self) -> None:
        self.last_seen_s: dict[SeriesKey, int] = {}
        self.environments: set[str] = set()
        self.beyond: _Beyond | None = None

    def keep_only(self, active: dict[SeriesKey, int]) -> None:
        self.last_seen_s = active
        self.environments = {series.deployment_environment for series in active}


class _Beyond:
    """Estimates over all series of a service, the kept and the others, since the first one too many."""

    def __init__(self) -> None:
        self.last_seen_s = 0
        self.series = DistinctCount()
        self.fields = {field: DistinctCount() for field in SeriesKey._fields[1:]}

    def add(self, series: Sequence[SeriesKey]) -> None:
        self.series.add("\0".join(one) for one in series)
        for (_, count), values in zip(self.fields.items(), list(zip(*series, strict=True))[1:], strict=True):
            count.add(values)


class SeriesLimits:
    """Admits series up to the limits and forgets those that were idle for `idle_s`. Not for several threads at once."""

    def __init__(self, max_per_service: int, max_series: int, idle_s: int, now_ns: NowNs) -> None:
        self._max_per_service = max_per_service
        self._max_series = max_series
        self._idle_s = idle_s
        self._now_ns = now_ns
        self._services: dict[str, _Service] = {}
        self._count = 0
        self._swept_s = 0
        self._rejected: set[SeriesKey] = set()

    @property
    def series_count(self) -> int:
        """How many series are kept now, overflow series aside."""
        return self._count

    @property
    def overflowing_count(self) -> int:
        """How many services have too many series now."""
        return sum(service.beyond is not None for service in list(self._services.values()))

    def bounded(self, points: Iterable[RedPoint]) -> list[RedPoint]:
        """Return the points with the series beyond the limits replaced by overflow series; every call is in one."""
        now_s = self._now_ns() // _NS_PER_S
        if now_s - self._swept_s >= _SWEEP_INTERVAL_S:
            self._forget_idle(now_s)
        kept: list[RedPoint] = []
        beyond: list[RedPoint] = []
        for point in points:
            (kept if self._admits(point.series, now_s) else beyond).append(point)
        if beyond:
            self._note_rejections({point.series for point in beyond}, now_s)
            kept += merge_red_points(replace(point, series=self._overflow_of(point.series)) for point in beyond)
        return kept

    def overflows(self) -> list[SeriesOverflow]:
        """Return what is known of each service with too many series, the worst first."""
        found = [
            _overflow(name, service, service.beyond)
            for name, service in list(self._services.items())
            if service.beyond is not None
        ]
        return sorted(found, key=lambda overflow: -overflow.estimate)

    def _admits(self, series: SeriesKey, now_s: int) -> bool:
        service = self._services.get(series.service_name)
        if service is None:
            if self._count >= self._max_series:
                return False
            service = self._services[series.service_name] = _Service()
        if series not in service.last_seen_s:
            if len(service.last_seen_s) >= self._max_per_service or self._count >= self._max_series:
                return False
            self._count += 1
            service.environments.add(series.deployment_environment)
        service.last_seen_s[series] = now_s
        return True

    def _overflow_of(self, series: SeriesKey) -> SeriesKey:
        """Return the series that stands for this one: what is left of it has few values, or values known already."""
        service = self._services.get(series.service_name)
        if service is None:
            name, environment = METRIC_OVERFLOW, ""
        else:
            name = series.service_name
            environment = series.deployment_environment
            environment = environment if environment in service.environments else ""
        return SeriesKey(
            service_name=name,
            deployment_environment=environment,
            span_kind=series.span_kind,
            http_route=METRIC_OVERFLOW,
            http_status_class=series.http_status_class,
            overflow="true",
        )

    def _note_rejections(self, rejected: set[SeriesKey], now_s: int) -> None:
        if len(self._rejected) > _REMEMBERED_REJECTIONS:
            self._rejected.clear()
        new: dict[str, list[SeriesKey]] = {}
        for series in rejected:
            found = new.setdefault(series.service_name, [])
            if series not in self._rejected:
                self._rejected.add(series)
                found.append(series)
        for name, found in new.items():
            service = self._services.get(name)
            beyond = None if service is None else self._estimates_of(name, service)
            if beyond is not None:
                beyond.last_seen_s = now_s
                if found:
                    beyond.add(found)

    def _estimates_of(self, name: str, service: _Service) -> _Beyond | None:
        if service.beyond is None:
            if self.overflowing_count >= _MAX_REPORTS:
                return None
            service.beyond = _Beyond()
            service.beyond.add(list(service.last_seen_s))
            _log.warning("too many series: the rest is added up", service=name, kept=len(service.last_seen_s))
        return service.beyond

    def _forget_idle(self, now_s: int) -> None:
        self._swept_s = now_s
        oldest_s = now_s - self._idle_s
        for name, service in list(self._services.items()):
            active = {series: seen_s for series, seen_s in service.last_seen_s.items() if seen_s >= oldest_s}
            if len(active) < len(service.last_seen_s):
                self._count -= len(service.last_seen_s) - len(active)
                service.keep_only(active)
            if service.beyond is not None and service.beyond.last_seen_s < oldest_s:
                service.beyond = None
            if not active:
                del self._services[name]


def _overflow(name: str, service: _Service, beyond: _Beyond) -> SeriesOverflow:
    distinct = {field: count.estimate() for field, count in beyond.fields.items()}
    kept = len(service.last_seen_s)
    cause = max(distinct, key=distinct.__getitem__)
    return SeriesOverflow(name, kept, max(kept, beyond.series.estimate()), distinct, cause)
