"""Requests for tests, the RED points that come of them, and the slow, plain reference for questions about them."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pytest

from query import GroupBy, RedAnswer, RedTotal, SeriesFilter
from query.grouping import FIELD_OF
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


def check_total(total: RedTotal, calls: Sequence[Call], seconds: int) -> None:
    """Compare with counts and percentiles taken from the calls themselves."""
    assert total.calls == len(calls)
    assert total.errors == sum(call.is_error for call in calls)
    assert total.client_errors == sum(call.series.http_status_class == "4xx" for call in calls)
    assert total.rate_per_s == pytest.approx(len(calls) / seconds)
    if not calls:
        assert (total.error_rate, total.p50_s, total.p95_s, total.p99_s) == (0.0, None, None, None)
        return
    assert total.error_rate == pytest.approx(total.errors / total.calls)
    assert total.busy_s == pytest.approx(sum(call.duration_ns for call in calls) / 1e9)
    for share, estimate in ((0.5, total.p50_s), (0.95, total.p95_s), (0.99, total.p99_s)):
        assert estimate == pytest.approx(exact_percentile(calls, share), rel=0.0055)


def check_red(answer: RedAnswer, calls: Sequence[Call], group_by: Sequence[GroupBy], where: SeriesFilter) -> None:
    """Compare an answer with the calls that fall into the range that it says it is about."""
    inside = [c for c in calls if answer.start_s <= c.end_s < answer.end_s and where.matches(c.series)]
    groups: dict[tuple[str, ...], list[Call]] = {}
    for call in inside:
        key = tuple(getattr(call.series, FIELD_OF[field]) for field in group_by)
        groups.setdefault(key, []).append(call)
    assert [tuple(item.labels.values()) for item in answer.items] == sorted(groups)
    for item in answer.items:
        assert tuple(item.labels) == tuple(group_by)
        of_group = groups[tuple(item.labels.values())]
        check_total(item.total, of_group, answer.end_s - answer.start_s)
        assert [step.time_s for step in item.steps] == list(range(answer.start_s, answer.end_s, answer.step_s))
        for step in item.steps:
            of_step = [c for c in of_group if step.time_s <= c.end_s < step.time_s + answer.step_s]
            assert (step.calls, step.errors) == (len(of_step), sum(c.is_error for c in of_step))
            if of_step:
                assert step.p95_s == pytest.approx(exact_percentile(of_step, 0.95), rel=0.0055)
            else:
                assert step.p95_s is None
