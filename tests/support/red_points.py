"""RED points for tests, and the slow, plain reference for what questions must answer about them."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from telemetry import ExponentialHistogram, RedPoint, SeriesKey


@dataclass(frozen=True)
class Call:
    """One request as the reference sees it."""

    series: SeriesKey
    end_s: int
    duration_ns: int
    is_error: bool


def point(series: SeriesKey, start_s: int, durations_s: Sequence[float], errors: int = 0) -> RedPoint:
    """One second of one series, with a call per duration."""
    durations_ns = [int(duration * 1e9) for duration in durations_s]
    return RedPoint(series, start_s, len(durations_ns), errors, ExponentialHistogram.of(durations_ns))


def points_of(calls: Iterable[Call]) -> list[RedPoint]:
    """Derive 1 s points as the processor does."""
    groups: defaultdict[tuple[SeriesKey, int], list[Call]] = defaultdict(list)
    for call in calls:
        groups[call.series, call.end_s].append(call)
    return [
        RedPoint(
            series,
            end_s,
            len(group),
            sum(call.is_error for call in group),
            ExponentialHistogram.of([call.duration_ns for call in group]),
        )
        for (series, end_s), group in groups.items()
    ]


def random_calls(seed: int, count: int, start_s: int, end_s: int) -> list[Call]:
    """Calls of a few services, routes, instances and outcomes with lognormal durations."""
    chance = random.Random(seed)
    calls = []
    for _ in range(count):
        status_class = chance.choice(["2xx", "2xx", "2xx", "4xx", "5xx"])
        series = SeriesKey(
            service_name=chance.choice(["churn", "prices", "sentiment"]),
            service_version=chance.choice(["1", "2"]),
            service_instance_id=chance.choice(["a", "b"]),
            deployment_environment=chance.choice(["prod", "staging"]),
            http_route=chance.choice(["/predict", "/predict/batch"]),
            http_method="POST",
            http_status_class=status_class,
        )
        duration_ns = int(chance.lognormvariate(-3, 1) * 1e9)
        calls.append(Call(series, chance.randrange(start_s, end_s), duration_ns, status_class == "5xx"))
    return calls


def exact_percentile(calls: Iterable[Call], share: float) -> float:
    """The nearest-rank percentile in seconds, from the durations themselves."""
    durations = sorted(call.duration_ns for call in calls)
    return durations[max(math.ceil(share * len(durations) - 1e-9), 1) - 1] / 1e9
