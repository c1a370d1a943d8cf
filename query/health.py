"""Judging a service by its last minute: which kinds of trouble, with which evidence, and so which status.

Pure; thresholds come from `QuerySettings`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from query.answers import Problem, ProblemKind, RedTotal, Status
from query.settings import QuerySettings

_SEVERITY = {Status.CRITICAL: 0, Status.DEGRADED: 1, Status.HEALTHY: 2, Status.NO_DATA: 3}

_LONG_UNITS = ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s"))


def severity_rank(status: Status) -> int:
    """Return a number by which the worst status sorts first, and silence last."""
    return _SEVERITY[status]


def wilson_lower_bound(hits: int, trials: int, z: float = 1.96) -> float:
    """Return the lower end of the interval that holds the true share with 95 % confidence (E. B. Wilson, 1927).

    Unlike the plain share it is near 0 for few trials, so that a handful of errors is no alarm. Without a hit it is 0
    exactly, which the formula misses by a rounding: a threshold of 0 is not exceeded by it.
    """
    if not trials or not hits:
        return 0.0
    share = hits / trials
    centre = share + z * z / (2 * trials)
    margin = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    return max((centre - margin) / (1 + z * z / trials), 0.0)


def problems_of(recent: RedTotal, settings: QuerySettings) -> tuple[Problem, ...]:
    """Return the problems that RED over the health window shows, the worst first."""
    found = [problem for problem in (_latency(recent, settings), _errors(recent, settings)) if problem is not None]
    return tuple(sorted(found, key=lambda problem: severity_rank(problem.status)))


def status_of(recent: RedTotal, problems: Iterable[Problem]) -> Status:
    """Return the worst status of the problems; without calls in the health window nothing is known."""
    if not recent.calls:
        return Status.NO_DATA
    return min((problem.status for problem in problems), key=severity_rank, default=Status.HEALTHY)


def _latency(recent: RedTotal, settings: QuerySettings) -> Problem | None:
    if recent.calls < settings.health_min_calls:
        return None
    p95_s = recent.p95_s or 0.0
    status, threshold_s = _exceeded(p95_s, settings.p95_degraded_s, settings.p95_critical_s)
    if status is None:
        return None
    evidence = f"P95 {duration_text(p95_s)} over {_window_text(settings)}, above {duration_text(threshold_s)}"
    return Problem(ProblemKind.HIGH_LATENCY, status, p95_s, threshold_s, evidence)


def _errors(recent: RedTotal, settings: QuerySettings) -> Problem | None:
    if recent.errors < settings.health_min_errors:
        return None
    sure_rate = wilson_lower_bound(recent.errors, recent.calls)
    status, threshold = _exceeded(sure_rate, settings.error_rate_degraded, settings.error_rate_critical)
    if status is None:
        return None
    evidence = (
        f"{recent.errors} of {recent.calls} calls ({100 * recent.error_rate:.3g} %) failed"
        f" over {_window_text(settings)}, above {100 * threshold:g} %"
    )
    return Problem(ProblemKind.HIGH_ERROR_RATE, status, recent.error_rate, threshold, evidence)


def _exceeded(value: float, degraded: float, critical: float) -> tuple[Status | None, float]:
    if value > critical:
        return Status.CRITICAL, critical
    if value > degraded:
        return Status.DEGRADED, degraded
    return None, degraded


def duration_text(seconds: float) -> str:
    """Return a duration for people: 350 ms, 1.92 s, 10 min, 2 h 5 min; three significant digits, or two units."""
    if seconds == 0:
        return "0 s"
    if seconds < 59.95:
        return f"{seconds:.3g} s" if seconds >= 0.9995 else f"{1000 * seconds:.3g} ms"
    whole = round(seconds)
    size, unit, part, part_unit = next(units for units in _LONG_UNITS if whole >= units[0])
    rest = whole % size // part
    return f"{whole // size} {unit}" + (f" {rest} {part_unit}" if rest else "")


def _window_text(settings: QuerySettings) -> str:
    return "the last minute" if settings.health_window_s == 60 else f"the last {settings.health_window_s} s"
