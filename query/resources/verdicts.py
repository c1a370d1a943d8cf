"""Whether a service is short of CPU or memory, or has too much of them: one plain rule for each kind of trouble.

Pure; `docs/bottlenecks.md` tells the rules to people. Each finding has its evidence in numbers, and without enough data
there is the finding that there is not enough.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from query.answers import Status
from query.health import severity_rank
from query.resources.answers import ResourceKind, Usage, Verdict, VerdictKind
from query.resources.settings import ResourceSettings
from query.resources.trend import Trend, trend_of

STEP_S: Final = 60
LENGTH_S: Final = 3_600
"""Verdicts are made of the minutes of the last hour."""
_RECENT_STEPS: Final = 5
_LEAST_RECENT_STEPS: Final = 3
_LEAST_HOUR_STEPS: Final = 30
_LEAST_GROWTH: Final = 0.05
_ONE_CORE: Final = (0.9, 1.1)
_SEVERAL_CORES: Final = 1.5
_KIND_ORDER: Final = tuple(VerdictKind)
_PYTHON: Final = "python"


@dataclass(frozen=True, slots=True)
class Observed:
    """A container or process over the last hour, a usage for each minute; `is_live` if it still runs."""

    name: str
    kind: ResourceKind
    steps: Sequence[Usage]
    is_live: bool = True
    has_own_cpu_limit: bool = True
    language: str = ""
    """Of the service's SDK, such as `python`."""


Rule = Callable[[Observed, Sequence[Usage], ResourceSettings], Verdict | None]


def verdicts_of(observed: Iterable[Observed], settings: ResourceSettings) -> tuple[Verdict, ...]:
    """Return what is to be said of a service's resources, the worst first; at least one verdict.

    Of each kind there is one, about the container or process that is worst off.
    """
    live = [one for one in observed if one.is_live]
    known = [(one, recent) for one in live if len(recent := _recent(one)) >= _LEAST_RECENT_STEPS]
    if not known:
        return (_not_enough_data(live),)
    found = [
        verdict for one, recent in known for rule in _RULES if (verdict := rule(one, recent, settings)) is not None
    ]
    worst = {verdict.kind: verdict for verdict in sorted(found, key=_rank, reverse=True)}
    idle = worst.pop(VerdictKind.IDLE_CAPACITY, None)
    if worst:
        return tuple(sorted(worst.values(), key=_rank))
    # What is idle in one of several is no more than the others' rest.
    if idle is not None and all(_idle(one, recent, settings) for one, recent in known):
        return (idle,)
    return (_unremarkable(known),)


def memory_left_s(observed: Observed) -> float | None:
    """Return in how many seconds the memory reaches its limit at its present slope, `None` if it does not grow."""
    trend, last = _memory_trend(observed), _last_memory(observed.steps)
    if trend is None or not trend.is_growing or last is None or last.memory_limit_bytes is None:
        return None
    return max(last.memory_limit_bytes - (last.memory_bytes or 0.0), 0.0) / trend.per_s


def _recent(one: Observed) -> list[Usage]:
    """Return those of the last five minutes, and of the one that is running, of which CPU or memory is known."""
    latest = one.steps[-_RECENT_STEPS - 1 :]
    return [usage for usage in latest if usage.cpu_cores is not None or usage.memory_bytes is not None]


def _cpu_bound(one: Observed, recent: Sequence[Usage], settings: ResourceSettings) -> Verdict | None:
    known = [usage for usage in recent if usage.cpu_cores is not None]
    limit = next((usage.cpu_limit_cores for usage in reversed(known) if usage.cpu_limit_cores), None)
    if len(known) < _LEAST_RECENT_STEPS or limit is None:
        return None
    cores = _mean(usage.cpu_cores for usage in known)
    share = cores / limit
    status, threshold = _above(share, settings.cpu_degraded, settings.cpu_critical)
    if status is not None:
        evidence = (
            f"{one.name} uses {_cores(cores)} of {_cores(limit)} cores ({_percent(share)}) over the last 5 minutes, "
            f"from {_percent(threshold)} on it is CPU-bound"
        )
        return Verdict(VerdictKind.CPU_BOUND, status, share, threshold, evidence, one.name)
    low, high = _ONE_CORE
    fills_one_core = all(low <= (usage.cpu_cores or 0.0) <= high for usage in known)
    if one.kind == "process" and one.language == _PYTHON and limit >= _SEVERAL_CORES and fills_one_core:
        evidence = (
            f"{one.name} uses {_cores(cores)} cores steadily over the last 5 minutes: one Python process runs Python "
            f"on one core at a time, and {_cores(limit)} are there"
        )
        return Verdict(VerdictKind.CPU_BOUND, Status.DEGRADED, cores, low, evidence, one.name)
    return None


def _throttled(one: Observed, recent: Sequence[Usage], settings: ResourceSettings) -> Verdict | None:
    known = [usage for usage in recent if usage.throttled_per_s is not None and usage.periods_per_s]
    if len(known) < _LEAST_RECENT_STEPS:
        return None
    share = _mean(usage.throttled_per_s for usage in known) / _mean(usage.periods_per_s for usage in known)
    status, threshold = _above(share, settings.throttled_degraded, settings.throttled_critical)
    if status is None:
        return None
    limit = next((usage.cpu_limit_cores for usage in reversed(known) if usage.cpu_limit_cores), None)
    quota = f" of {_cores(limit)} cores" if limit else ""
    evidence = (
        f"{one.name} used up its CPU quota{quota} in {_percent(share)} of the periods of the last 5 minutes, "
        f"above {_percent(threshold)}"
    )
    return Verdict(VerdictKind.THROTTLED, status, share, threshold, evidence, one.name)


def _memory_near_limit(one: Observed, recent: Sequence[Usage], settings: ResourceSettings) -> Verdict | None:
    last = _last_memory(recent)
    if last is None or last.memory_share is None:
        return None
    status, threshold = _above(last.memory_share, settings.memory_degraded, settings.memory_critical)
    if status is None:
        return None
    evidence = (
        f"{one.name} uses {_bytes(last.memory_bytes)} of {_bytes(last.memory_limit_bytes)} memory "
        f"({_percent(last.memory_share)}), from {_percent(threshold)} on it is near its limit"
    )
    return Verdict(VerdictKind.MEMORY_NEAR_LIMIT, status, last.memory_share, threshold, evidence, one.name)


def _memory_leaking(one: Observed, recent: Sequence[Usage], settings: ResourceSettings) -> Verdict | None:
    trend, left_s, last = _memory_trend(one), memory_left_s(one), _last_memory(recent)
    if trend is None or left_s is None or last is None or left_s > settings.leak_degraded_s:
        return None
    if trend.per_s * LENGTH_S < _LEAST_GROWTH * (last.memory_bytes or 0.0):
        return None
    status, threshold = Status.DEGRADED, settings.leak_degraded_s
    if left_s <= settings.leak_critical_s:
        status, threshold = Status.CRITICAL, settings.leak_critical_s
    evidence = (
        f"{one.name} has grown by {_bytes(trend.per_s * LENGTH_S)} an hour to {_bytes(last.memory_bytes)}: "
        f"{_duration(left_s)} are left until its limit of {_bytes(last.memory_limit_bytes)}"
    )
    return Verdict(VerdictKind.MEMORY_LEAKING, status, left_s, threshold, evidence, one.name)


def _idle(one: Observed, recent: Sequence[Usage], settings: ResourceSettings) -> Verdict | None:
    shares = sorted(usage.cpu_share for usage in one.steps if usage.cpu_share is not None)
    if not one.has_own_cpu_limit or len(shares) < _LEAST_HOUR_STEPS:
        return None
    high = shares[math.ceil(0.95 * len(shares)) - 1]
    limit = next((usage.cpu_limit_cores for usage in reversed(one.steps) if usage.cpu_limit_cores), None)
    if high >= settings.idle_below:
        return None
    evidence = (
        f"{one.name} used less than {_percent(max(high, 0.001))} of its {_cores(limit)} cores in 95 % of the minutes "
        f"of the last hour, below {_percent(settings.idle_below)}"
    )
    return Verdict(VerdictKind.IDLE_CAPACITY, Status.HEALTHY, high, settings.idle_below, evidence, one.name)


_RULES: Final[Sequence[Rule]] = (_cpu_bound, _throttled, _memory_near_limit, _memory_leaking, _idle)


def _unremarkable(known: Sequence[tuple[Observed, Sequence[Usage]]]) -> Verdict:
    one, recent = max(known, key=lambda pair: _fullness(pair[1][-1]))
    last = recent[-1]
    parts = [f"CPU {_cores(last.cpu_cores)}"] if last.cpu_cores is not None else []
    if last.cpu_share is not None:
        parts[0] += f" of {_cores(last.cpu_limit_cores)} cores"
    elif parts:
        parts[0] += " cores"
    if last.memory_bytes is not None:
        of_limit = f" of {_bytes(last.memory_limit_bytes)}" if last.memory_limit_bytes else ""
        parts.append(f"memory {_bytes(last.memory_bytes)}{of_limit}")
    evidence = f"{one.name}: {', '.join(parts)}"
    return Verdict(VerdictKind.UNREMARKABLE, Status.HEALTHY, _fullness(last), None, evidence, one.name)


def _not_enough_data(live: Sequence[Observed]) -> Verdict:
    if not live:
        evidence = "no running container or process is known of this service"
        return Verdict(VerdictKind.NOT_ENOUGH_DATA, Status.NO_DATA, None, None, evidence, "")
    one = max(live, key=lambda observed: len(_recent(observed)))
    evidence = (
        f"{one.name} was measured in {len(_recent(one))} of the last {_RECENT_STEPS} minutes, "
        f"{_LEAST_RECENT_STEPS} are needed"
    )
    return Verdict(VerdictKind.NOT_ENOUGH_DATA, Status.NO_DATA, None, None, evidence, one.name)


def _memory_trend(one: Observed) -> Trend | None:
    known = [
        (step * STEP_S, usage.memory_bytes) for step, usage in enumerate(one.steps) if usage.memory_bytes is not None
    ]
    return trend_of(*zip(*known, strict=True)) if known else None


def _last_memory(steps: Sequence[Usage]) -> Usage | None:
    return next((usage for usage in reversed(steps) if usage.memory_bytes is not None), None)


def _fullness(usage: Usage) -> float:
    return max(usage.cpu_share or 0.0, usage.memory_share or 0.0)


def _rank(verdict: Verdict) -> tuple[int, int, float]:
    urgency = (verdict.value or 0.0) / (verdict.threshold or 1.0)
    is_time_left = verdict.kind is VerdictKind.MEMORY_LEAKING
    order = severity_rank(verdict.status), _KIND_ORDER.index(verdict.kind)
    return *order, urgency if is_time_left else -urgency


def _above(value: float, degraded: float, critical: float) -> tuple[Status | None, float]:
    if value >= critical:
        return Status.CRITICAL, critical
    return (Status.DEGRADED, degraded) if value >= degraded else (None, degraded)


def _mean(values: Iterable[float | None]) -> float:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known)


def _cores(value: float | None) -> str:
    return "?" if value is None else f"{value:.2f}".rstrip("0").rstrip(".") if value >= 0.01 else f"{value:.2g}"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _bytes(value: float | None) -> str:
    if value is None:
        return "?"
    for unit in ("B", "KiB", "MiB"):
        if abs(value) < 1024:
            return f"{value:.3g} {unit}" if value < 999.5 else f"{value:.0f} {unit}"
        value /= 1024
    return f"{value:.3g} GiB"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7_200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3_600:.0f} h"
