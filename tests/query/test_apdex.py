"""Apdex: what counting the calls one by one gives, whatever was merged on the way."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from query import QuerySettings, SeriesFilter
from telemetry import SeriesKey
from telemetry.exponential_histogram import BASE
from tests.support.calls import Call, point, points_of, random_calls
from tests.support.query_world import NOW_S, make_world

OK = SeriesKey("churn", http_status_class="2xx")
FAILED = SeriesKey("churn", http_status_class="5xx")
NO_STATUS = SeriesKey("churn", span_kind="CONSUMER")


def _score(calls: list[Call], target_s: float) -> float:
    answered = [call.duration_ns / 1e9 for call in calls if not call.is_error]
    within = [sum(duration_s <= limit_s for duration_s in answered) for limit_s in (target_s, 4 * target_s)]
    return sum(within) / 2 / len(calls)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), target_s=st.floats(0.001, 30), is_live=st.booleans())
@example(1, 0.5, True)
@example(1, 0.5, False)
async def test_apdex_lies_between_the_plain_counts_at_the_edges_of_one_bucket(
    seed: int, target_s: float, is_live: bool
) -> None:
    """From either source: not below the score for a target at the lower edge, nor above that for the upper one."""
    calls = [
        replace(call, is_error=call.series.http_status_class == "5xx")
        for call in random_calls(seed, 300, NOW_S - 250, NOW_S)
    ]
    world = make_world(
        complete_since_s=NOW_S - 900 if is_live else NOW_S, settings=QuerySettings(apdex_target_s=target_s)
    )
    await world.commit(*points_of(calls))
    answer = await world.query.services(300, end_s=NOW_S)
    by_version = await world.query.breakdown(300, NOW_S, ("service",))
    assert [item.total.apdex for item in by_version.items] == [
        item.total.apdex for item in sorted(answer.items, key=lambda item: item.service)
    ]
    for item in answer.items:
        own = [call for call in calls if call.series.service_name == item.service]
        assert item.total.apdex is not None
        assert _score(own, target_s / BASE) - 1e-9 <= item.total.apdex <= _score(own, target_s * BASE) + 1e-9
    assert answer.total.apdex is not None
    assert _score(calls, target_s / BASE) - 1e-9 <= answer.total.apdex <= _score(calls, target_s * BASE) + 1e-9


async def test_at_the_default_target_nothing_is_guessed() -> None:
    """Half a second and two are edges of buckets: a call of exactly that long still satisfies, or is tolerated."""
    world = make_world()
    await world.commit(point(OK, NOW_S - 9, [0.5, 0.500001, 2.0, 2.000001, 0.1]))
    assert (await world.query.services(60, end_s=NOW_S)).total.apdex == (2 + 2 / 2) / 5


async def test_a_call_that_failed_is_frustrated_however_fast() -> None:
    """Three that were answered at once, and one that failed at once."""
    world = make_world()
    await world.commit(point(OK, NOW_S - 9, [0.001] * 3), point(FAILED, NOW_S - 9, [0.001], errors=1))
    assert (await world.query.services(60, end_s=NOW_S)).total.apdex == 0.75


async def test_failed_calls_among_others_of_their_series_count_as_spread_over_them() -> None:
    """Without a status class failed and answered calls share a histogram: half of them failed, half are slow."""
    world = make_world()
    await world.commit(point(NO_STATUS, NOW_S - 9, [0.1, 0.1, 9.0, 9.0], errors=2))
    assert (await world.query.services(60, end_s=NOW_S)).total.apdex == 0.25


async def test_each_service_is_told_by_its_own_target() -> None:
    """Slow by design is no trouble, and the score of all tells each call by its own service's target."""
    slow = OK._replace(service_name="summarizer")
    world = make_world(settings=QuerySettings(apdex_targets_s={"summarizer": 8.0}))
    await world.commit(point(OK, NOW_S - 9, [3.0]), point(slow, NOW_S - 9, [3.0] * 3))
    answer = await world.query.services(60, end_s=NOW_S)
    assert {item.service: item.total.apdex for item in answer.items} == {"churn": 0.0, "summarizer": 1.0}
    assert answer.total.apdex == 0.75
    routes = await world.query.breakdown(60, NOW_S, ("route",), SeriesFilter(service_name="summarizer"))
    assert [item.total.apdex for item in routes.items] == [1.0]


async def test_without_calls_there_is_no_score() -> None:
    """Nothing is known of nobody."""
    assert (await make_world().query.services(60, end_s=NOW_S)).total.apdex is None


def test_targets_are_bounded() -> None:
    """A target of nothing would make everybody frustrated."""
    with pytest.raises(ValueError, match="apdex_targets_s"):
        QuerySettings(apdex_targets_s={"a": 0.0})


async def test_a_target_that_is_changed_counts_at_once() -> None:
    """In the next answer, without a restart."""
    world = make_world(settings=QuerySettings(apdex_target_s=4))
    await world.commit(point(SeriesKey("slow"), NOW_S - 5, [3.0]))
    assert (await world.query.services(60, end_s=NOW_S)).total.apdex == 1
    world.query.use(QuerySettings(apdex_target_s=2, p95_degraded_s=2, p95_critical_s=8, health_min_calls=1))
    world.advance(1.1)
    answer = await world.query.services(60, end_s=NOW_S)
    assert answer.total.apdex == 0.5
    assert answer.items[0].status == "degraded"
