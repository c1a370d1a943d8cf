"""All services at a glance: totals of every call exactly once, health by the last minute."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from query import GroupBy, ProblemKind, QuerySettings, QuestionError, SeriesFilter, Status
from query.grouping import FIELD_OF
from telemetry import SeriesKey
from tests.support.calls import Call, check_total, exact_percentile, point, points_of, random_calls
from tests.support.query_world import NOW_S, World, make_world

CHURN = SeriesKey("churn", "1.0", "a", "prod", http_status_class="2xx")


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    is_live=st.booleans(),
    end_s=st.none() | st.integers(NOW_S - 300, NOW_S + 1),
    window_s=st.integers(1, 440),
    environment=st.sampled_from([None, "prod"]),
)
async def test_services_equal_a_plain_count(
    seed: int, is_live: bool, end_s: int | None, window_s: int, environment: str | None
) -> None:
    """From either source and for any window, every service's total is what counting its calls one by one gives."""
    calls = random_calls(seed, 300, NOW_S - 450, NOW_S + 1)
    world = make_world(complete_since_s=NOW_S - 900 if is_live else NOW_S)
    await world.commit(*points_of(calls))
    where = SeriesFilter(deployment_environment=environment)
    answer = await world.query.services(window_s, where, end_s)
    asked_end_s = NOW_S + 1 if end_s is None else end_s
    bucket_s = 1 if is_live else 10
    assert asked_end_s - window_s - bucket_s < answer.start_s <= asked_end_s - window_s
    assert asked_end_s <= answer.end_s < asked_end_s + bucket_s
    inside = [c for c in calls if answer.start_s <= c.end_s < answer.end_s and where.matches(c.series)]
    assert {item.service for item in answer.items} == {call.series.service_name for call in inside}
    assert answer.total.calls == len(inside)
    seconds = answer.end_s - answer.start_s
    for item in answer.items:
        of_service = [call for call in inside if call.series.service_name == item.service]
        assert item.total.calls == len(of_service)
        assert item.total.errors == sum(call.is_error for call in of_service)
        assert item.total.client_errors == sum(call.series.http_status_class == "4xx" for call in of_service)
        assert item.total.rate_per_s == pytest.approx(len(of_service) / seconds)
        assert item.total.p99_s == pytest.approx(exact_percentile(of_service, 0.99), rel=0.0055)
        assert item.versions == tuple(sorted({call.series.service_version for call in of_service}))
        assert item.environments == tuple(sorted({call.series.deployment_environment for call in of_service}))
        assert item.instance_count == len({call.series.service_instance_id for call in of_service})
        last_s = max(call.end_s for call in of_service)
        assert item.last_seen_s == last_s - last_s % bucket_s


@pytest.mark.parametrize("is_live", [True, False])
async def test_a_service_is_found_by_the_name_that_it_was_sent_under(is_live: bool) -> None:
    """Also by one that no database takes: both sources keep it with a mark for what is no text."""
    world = make_world(complete_since_s=NOW_S - 900 if is_live else NOW_S)
    sent = SeriesKey("nul\0 and \ud800", "1.0", "a", "prod")
    await world.commit(point(sent, NOW_S - 20, [0.1]), point(CHURN, NOW_S - 20, [0.1]))
    answer = await world.query.services(60, SeriesFilter(service_name=sent.service_name))
    assert [(item.service, item.total.calls) for item in answer.items] == [("nul\ufffd and \ufffd", 1)]


async def test_adjoining_windows_count_every_call_once(world: World) -> None:
    """Windows that follow each other second by second add up to the whole."""
    await world.commit(*(point(CHURN, NOW_S - age_s, [0.1] * (age_s % 3)) for age_s in range(1, 200) if age_s % 3))
    whole = await world.query.services(180, end_s=NOW_S)
    parts = [await world.query.services(7, end_s=NOW_S - back) for back in range(0, 180 - 5, 7)]
    edge = await world.query.services(180 - 7 * len(parts) or 1, end_s=NOW_S - 7 * len(parts))
    assert sum(part.total.calls for part in [*parts, edge]) == whole.total.calls


async def test_without_an_end_the_running_second_is_included(world: World) -> None:
    """A call that was committed a moment ago is in the answer."""
    await world.commit(point(CHURN, NOW_S, [0.1]))
    answer = await world.query.services(60)
    assert (answer.end_s, answer.total.calls, answer.items[0].last_seen_s) == (NOW_S + 1, 1, NOW_S)


async def test_health_is_judged_by_the_last_minute_and_the_worst_comes_first(world: World) -> None:
    """A slow service, a failing one, a well one and a silent one are told apart, with their evidence."""
    for age_s in range(1, 60):
        await world.commit(
            point(SeriesKey("slow"), NOW_S - age_s, [1.92]),
            point(SeriesKey("failing"), NOW_S - age_s, [0.05, 0.05], errors=age_s % 10 == 0),
            point(SeriesKey("well"), NOW_S - age_s, [0.05]),
        )
    await world.commit(point(SeriesKey("silent"), NOW_S - 100, [5.0] * 50, errors=50))
    answer = await world.query.services(300)
    assert [(item.service, item.status) for item in answer.items] == [
        ("slow", Status.CRITICAL),
        ("failing", Status.DEGRADED),
        ("well", Status.HEALTHY),
        ("silent", Status.NO_DATA),
    ]
    slow, failing, well, silent = answer.items
    assert [(problem.kind, problem.threshold) for problem in slow.problems] == [(ProblemKind.HIGH_LATENCY, 1.0)]
    assert slow.problems[0].evidence == "P95 1.92 s over the last minute, above 1 s"
    assert [problem.kind for problem in failing.problems] == [ProblemKind.HIGH_ERROR_RATE]
    assert failing.problems[0].evidence == "5 of 118 calls (4.24 %) failed over the last minute, above 1 %"
    assert failing.problems[0].value == pytest.approx(5 / 118)
    assert well.problems == silent.problems == ()


async def test_health_looks_at_a_whole_minute_though_the_window_is_shorter(world: World) -> None:
    """A window of ten seconds counts ten seconds, but its status rests on a minute."""
    await world.commit(*(point(CHURN, NOW_S - age_s, [2.0]) for age_s in range(1, 60)))
    answer = await world.query.services(10)
    assert answer.total.calls == 9
    assert answer.items[0].status == Status.CRITICAL
    assert answer.end_s - answer.start_s == 10


async def test_a_window_out_of_bounds_is_refused() -> None:
    """The message says what is allowed."""
    world = make_world(settings=QuerySettings(max_range_s=3_600))
    for window_s in (0, 3_601):
        with pytest.raises(QuestionError, match="1 to 3600 s long") as caught:
            await world.query.services(window_s)
        assert caught.value.parameter == "window_s"


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    is_live=st.booleans(),
    window_s=st.integers(1, 440),
    group_by=st.lists(st.sampled_from(["service", "route", "version", "instance"]), unique=True, max_size=3),
)
async def test_totals_by_any_grouping_add_up_to_those_of_all(
    seed: int, is_live: bool, window_s: int, group_by: list[GroupBy]
) -> None:
    """They are about the very same time, and what counting the calls one by one gives."""
    calls = random_calls(seed, 300, NOW_S - 450, NOW_S)
    world = make_world(complete_since_s=NOW_S - 900 if is_live else NOW_S)
    await world.commit(*points_of(calls))
    services = await world.query.services(window_s, end_s=NOW_S)
    totals = await world.query.breakdown(window_s, NOW_S, group_by)
    assert (totals.start_s, totals.end_s) == (services.start_s, services.end_s)
    groups: dict[tuple[str, ...], list[Call]] = {}
    for call in calls:
        if totals.start_s <= call.end_s < totals.end_s:
            key = tuple(getattr(call.series, FIELD_OF[field]) for field in group_by)
            groups.setdefault(key, []).append(call)
    assert [tuple(item.labels.values()) for item in totals.items] == sorted(groups)
    for item in totals.items:
        check_total(item.total, groups[tuple(item.labels.values())], totals.end_s - totals.start_s)
