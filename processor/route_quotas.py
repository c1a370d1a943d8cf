"""How many errors and slow requests of a route are kept in any case, in each ten seconds.

Used by `trace_keeper.py`. One route that fails at every call must not use up the budget of all others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from telemetry import SeriesKey

_PERIOD_S: Final = 10
_MAX_ROUTES: Final = 20_000

Rows = NDArray[np.int64]


class RouteQuotas:
    """What is left for each route in the current period. A route is a service, a kind, and what was called of it."""

    def __init__(self, max_errors: int, max_slow: int) -> None:
        self._max_errors, self._max_slow = max_errors, max_slow
        self._period = 0
        self._routes: dict[tuple[str, ...], int] = {}
        self._series: Sequence[SeriesKey] = ()
        self._route_of: Rows = np.empty(0, dtype=np.int64)
        self._renew()

    def begin(self, now_s: int) -> None:
        """Renew what is left if a new period has begun."""
        if now_s // _PERIOD_S != self._period:
            self._period = now_s // _PERIOD_S
            self._renew()

    def routes_of(self, series: Sequence[SeriesKey], index: Rows) -> Rows:
        """Return the number of the route of each row."""
        if len(self._routes) > _MAX_ROUTES:
            self._routes.clear()
            self._series = ()
            self._renew()
        if series is not self._series:
            self._series, self._route_of = series, np.empty(0, dtype=np.int64)
        if len(series) > len(self._route_of):
            new = [self._number_of(one) for one in series[len(self._route_of) :]]
            self._route_of = np.append(self._route_of, np.array(new, dtype=np.int64))
        self._make_room(len(self._routes))
        found: Rows = self._route_of[index]
        return found

    def take_errors(self, rows: Rows, routes: Rows) -> list[int]:
        """Return those of the rows, errors of these routes, that there is still room for."""
        taken = []
        has_room = self._errors_left[routes] > 0
        for row, route in zip(rows[has_room].tolist(), routes[has_room].tolist(), strict=True):
            if self._errors_left[route] > 0:
                self._errors_left[route] -= 1
                taken.append(row)
        return taken

    def take_slow(self, rows: Rows, routes: Rows, duration_ns: Rows) -> list[int]:
        """Return those of the rows that took longer than all of their route before, in this period."""
        taken: list[int] = []
        is_slower = (duration_ns > self._slowest_ns[routes]) & (self._slow_left[routes] > 0)
        if not np.count_nonzero(is_slower):
            return taken
        rows, routes, duration_ns = rows[is_slower], routes[is_slower], duration_ns[is_slower]
        for place in np.argsort(-duration_ns, kind="stable").tolist():
            route, took_ns = routes[place], duration_ns[place]
            if took_ns > self._slowest_ns[route] and self._slow_left[route] > 0:
                self._slowest_ns[route] = took_ns
                self._slow_left[route] -= 1
                taken.append(int(rows[place]))
        return taken

    def _number_of(self, series: SeriesKey) -> int:
        route = (series.service_name, series.span_kind, series.http_method, series.http_route, series.operation)
        return self._routes.setdefault(route, len(self._routes))

    def _renew(self) -> None:
        self._errors_left = np.empty(0, dtype=np.int64)
        self._slow_left = np.empty(0, dtype=np.int64)
        self._slowest_ns = np.empty(0, dtype=np.int64)

    def _make_room(self, routes: int) -> None:
        missing = routes - len(self._errors_left)
        if missing > 0:
            self._errors_left = np.append(self._errors_left, np.full(missing, self._max_errors, dtype=np.int64))
            self._slow_left = np.append(self._slow_left, np.full(missing, self._max_slow, dtype=np.int64))
            self._slowest_ns = np.append(self._slowest_ns, np.full(missing, -1, dtype=np.int64))
