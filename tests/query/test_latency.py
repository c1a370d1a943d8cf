"""The spread of durations over time: every call in its bucket, in few enough buckets to draw."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from query import QuerySettings, QuestionError, SeriesFilter
from query.latency import MOST_BUCKETS
from telemetry import SeriesKey
from tests.support.calls import Call, points_of
from tests.support.query_world import NOW_S, make_world

ANY = SeriesKey("any", http_status_class="2xx")
DAY_NS = 86_400 * 10**9


@settings(max_examples=60, deadline=None)
@given(
    durations_ns=st.lists(st.integers(1, DAY_NS), min_size=1, max_size=80),
    step_s=st.integers(1, 40),
    is_live=st.booleans(),
)
@example([10**6] * 5, 7, True)
@example([1, DAY_NS], 7, False)
async def test_every_call_is_counted_in_its_bucket(durations_ns: list[int], step_s: int, is_live: bool) -> None:
    """From either source and for any step: counting the calls one by one between the bounds gives the same."""
    calls = [Call(ANY, NOW_S - 1 - 3 * index, duration, False) for index, duration in enumerate(durations_ns)]
    world = make_world(complete_since_s=NOW_S - 900 if is_live else NOW_S)
    await world.commit(*points_of(calls))
    answer = await world.query.latency(NOW_S - 300, NOW_S, step_s)
    assert answer.source == ("live" if is_live else "history")
    assert 1 < len(answer.bounds_s) <= MOST_BUCKETS + 1
    for step in answer.steps:
        inside = [call for call in calls if step.time_s <= call.end_s < step.time_s + answer.step_s]
        assert sum(step.counts) == len(inside)
        for low_s, high_s, count in zip(answer.bounds_s, answer.bounds_s[1:], step.counts, strict=False):
            surely = sum(low_s * (1 + 1e-9) < call.duration_ns / 1e9 <= high_s * (1 - 1e-9) for call in inside)
            at_most = sum(low_s * (1 - 1e-9) < call.duration_ns / 1e9 <= high_s * (1 + 1e-9) for call in inside)
            assert surely <= count <= at_most
    assert sum(sum(step.counts) for step in answer.steps) == len(calls)


async def test_bounds_begin_with_the_shortest_call_and_end_with_the_longest() -> None:
    """Each bound is the one before it times the same factor, and no bucket at either end is empty."""
    world = make_world()
    await world.commit(*points_of([Call(ANY, NOW_S - 5, ms * 10**6, False) for ms in (3, 40, 900)]))
    answer = await world.query.latency(NOW_S - 60, NOW_S, 10)
    factors = {round(high / low, 9) for low, high in zip(answer.bounds_s, answer.bounds_s[1:], strict=False)}
    assert len(factors) == 1
    assert answer.bounds_s[0] < 0.003 <= answer.bounds_s[1]
    assert answer.bounds_s[-2] < 0.9 <= answer.bounds_s[-1]


async def test_calls_beyond_all_bounds_are_counted_at_the_ends() -> None:
    """No duration at all counts as the shortest, more than 39 hours as the longest."""
    world = make_world()
    await world.commit(*points_of([Call(ANY, NOW_S - 5, ns, False) for ns in (0, 10**6, 10**9, 10**15)]))
    counts = [step.counts for step in (await world.query.latency(NOW_S - 60, NOW_S, 60)).steps if any(step.counts)]
    assert [counts[0][0], counts[0][-1], sum(counts[0])] == [2, 2, 4]
    only_zeros = make_world()
    await only_zeros.commit(*points_of([Call(ANY, NOW_S - 5, 0, False)]))
    answer = await only_zeros.query.latency(NOW_S - 60, NOW_S, 60)
    assert [step.counts for step in answer.steps] == [(0,), (1,)]
    assert answer.bounds_s[-1] == pytest.approx(1e-9, rel=0.05)


async def test_without_calls_there_are_no_buckets() -> None:
    """The steps are there, for the axis of time."""
    answer = await make_world().query.latency(NOW_S - 60, NOW_S, 10, SeriesFilter(service_name="unheard of"))
    assert answer.bounds_s == ()
    assert [step.counts for step in answer.steps] == [()] * 6


async def test_too_much_is_refused() -> None:
    """The bounds are those of RED."""
    world = make_world(settings=QuerySettings(max_steps=10))
    with pytest.raises(QuestionError, match="gives 60 steps"):
        await world.query.latency(NOW_S - 60, NOW_S, 1)
