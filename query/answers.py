"""The answers to the questions people ask, as plain values: durations in seconds, ratios 0 to 1, times in Unix seconds.

Query makes them; pages, API and alerts show them and never compute a figure of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

GroupBy = Literal[
    "service",
    "version",
    "instance",
    "environment",
    "model",
    "model_version",
    "method",
    "route",
    "status_class",
    "span_kind",
    "peer",
    "operation",
]


class Status(StrEnum):
    """How a service is doing; declared from best to worst, except that nothing is known of `NO_DATA`."""

    NO_DATA = "no_data"
    HEALTHY = "healthy"
    DEGRADED = "degraded"
    CRITICAL = "critical"


class ProblemKind(StrEnum):
    """The kinds of trouble that are recognised by name."""

    HIGH_LATENCY = "high_latency"
    HIGH_ERROR_RATE = "high_error_rate"
    RESOURCE_BOTTLENECK = "resource_bottleneck"


@dataclass(frozen=True, slots=True)
class Problem:
    """A recognised kind of trouble with its evidence: what was measured, against which threshold."""

    kind: ProblemKind
    status: Status
    value: float
    threshold: float
    evidence: str
    """One sentence with the numbers, such as "P95 1.92 s, above 1 s over the last minute"."""


@dataclass(frozen=True, slots=True)
class RedTotal:
    """RED over a span of time. `client_errors` are calls of status class 4xx, which are no errors of the service.

    Percentiles are `None` without calls; `rate_per_s` is calls divided by the time asked about; `busy_s` is the sum of
    all durations, the time that went into the calls. `apdex` (query/apdex.py) is told by the target of the service;
    where many are one, of each call by that of its own. It is `None` without calls, and where it is not asked for.
    """

    calls: int
    errors: int
    client_errors: int
    error_rate: float
    rate_per_s: float
    p50_s: float | None
    p95_s: float | None
    p99_s: float | None
    busy_s: float = 0.0
    apdex: float | None = None


@dataclass(frozen=True, slots=True)
class RedStep:
    """RED in the step that begins at Unix second `time_s`."""

    time_s: int
    calls: int
    errors: int
    client_errors: int
    p50_s: float | None
    p95_s: float | None
    p99_s: float | None


@dataclass(frozen=True, slots=True)
class ServiceSummary:
    """One service over the time asked about.

    Beyond the most that an answer holds, the services with the fewest calls are one, named `query.OVERFLOW`, with
    exact totals and without versions and environments.
    """

    service: str
    versions: tuple[str, ...]
    environments: tuple[str, ...]
    instance_count: int
    total: RedTotal
    last_seen_s: int
    """Start of the latest bucket that holds a call."""
    status: Status
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class ServicesAnswer:
    """All services seen in [start_s, end_s), worst status first, then by name. `total` is merged over all of them.

    `start_s` lies on a bucket of the source, so it may be a little earlier than asked.
    """

    start_s: int
    end_s: int
    items: tuple[ServiceSummary, ...]
    total: RedTotal


@dataclass(frozen=True, slots=True)
class RedSeries:
    """RED of one group over time. `steps` has one entry per step of the answer, also where there were no calls.

    Beyond the most that an answer holds, the groups with the fewest calls are one, whose labels all read
    `query.OVERFLOW`.
    """

    labels: Mapping[str, str]
    """The `group_by` fields and their values, by the names of `GroupBy`."""
    steps: tuple[RedStep, ...]
    total: RedTotal


@dataclass(frozen=True, slots=True)
class RedAnswer:
    """RED over time in steps of `step_s` seconds, which is as fine as asked or as fine as the source allows.

    `source` tells whether the live feed (1 s) or the history answered.
    """

    start_s: int
    end_s: int
    step_s: int
    source: Literal["live", "history"]
    items: tuple[RedSeries, ...]


@dataclass(frozen=True, slots=True)
class LatencyStep:
    """How many calls of the step that begins at `time_s` fell into each bucket of the answer."""

    time_s: int
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LatencyAnswer:
    """How durations were spread over time: exact counts in the same buckets for every step.

    Bucket i holds the calls that took more than `bounds_s[i]` and up to `bounds_s[i + 1]` seconds; bounds grow by one
    factor. Beginning and end are the shortest and the longest call's buckets; calls of no duration at all are counted
    in the first, those of more than 39 hours in the last. Without calls there are no bounds.
    """

    start_s: int
    end_s: int
    step_s: int
    source: Literal["live", "history"]
    bounds_s: tuple[float, ...]
    steps: tuple[LatencyStep, ...]


@dataclass(frozen=True, slots=True)
class GroupTotal:
    """One group over the time asked about; `labels` are as in `RedSeries`."""

    labels: Mapping[str, str]
    total: RedTotal


@dataclass(frozen=True, slots=True)
class BreakdownAnswer:
    """RED by group over [start_s, end_s), which begins as that of a `ServicesAnswer` does."""

    start_s: int
    end_s: int
    items: tuple[GroupTotal, ...]
