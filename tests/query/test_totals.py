"""One window by a fine grouping, of which many ask by coarser ones: the same figures as asking each by itself."""

from __future__ import annotations

import itertools

import pytest

from query import OVERFLOW, GroupBy, QuestionError
from tests.support.calls import points_of, random_calls
from tests.support.query_world import NOW_S, World, make_world

FINE: tuple[GroupBy, ...] = ("service", "route", "version", "instance")


@pytest.mark.parametrize("group_by", [FINE, ("service",), ("service", "route"), ("version",), ()])
@pytest.mark.parametrize("complete_since_s", [NOW_S - 900, NOW_S - 5])
async def test_coarser_groups_are_those_of_the_question_itself(
    group_by: tuple[GroupBy, ...], complete_since_s: int
) -> None:
    """Calls, errors and percentiles of every group are what `red` says of it, from either source."""
    world = make_world(complete_since_s=complete_since_s)
    await world.commit(*points_of(random_calls(3, 600, NOW_S - 300, NOW_S)))
    totals = await world.query.totals(120, FINE, NOW_S)
    assert (totals.start_s, totals.end_s) == (NOW_S - 120, NOW_S)
    found = {
        tuple(item.labels.values()): (item.total.calls, item.total.errors, item.total.p95_s)
        for item in (await world.query.red(totals.start_s, totals.end_s, 10, group_by)).items
    }
    assert {
        key: (total.calls, total.errors, total.p95_s) for key, total in totals.select(group_by, totals.groups())
    } == found
    assert found


async def test_groups_are_found_by_a_value(world: World) -> None:
    """Those with a value are the same as going through all; a value that none has finds none."""
    await world.commit(*points_of(random_calls(4, 200, NOW_S - 60, NOW_S)))
    totals = await world.query.totals(60, FINE, NOW_S)
    for service in ("churn", "prices", "nobody"):
        assert list(totals.groups_with("service", service)) == [key for key in totals.groups() if key[0] == service]
    seen = totals.last_seen_s(("service",), totals.groups())
    calls = random_calls(4, 200, NOW_S - 60, NOW_S)
    for (service,), last_s in seen.items():
        assert last_s == max(call.end_s for call in calls if call.series.service_name == service)


async def test_the_smallest_groups_beyond_the_bound_are_one(world: World) -> None:
    """Totals stay exact."""
    await world.commit(*points_of(random_calls(5, 500, NOW_S - 60, NOW_S)))
    totals = await world.query.totals(60, FINE, NOW_S, max_groups=4)
    assert len(totals) == 4
    assert (OVERFLOW,) * 4 in totals.groups()
    assert sum(total.calls for _, total in totals.select((), totals.groups())) == 500


@pytest.mark.parametrize("complete_since_s", [NOW_S - 900, NOW_S - 5])
async def test_sliding_windows_are_those_of_each_moment(complete_since_s: int) -> None:
    """A window of the replay is what asking at its end would have found."""
    world = make_world(complete_since_s=complete_since_s)
    await world.commit(*points_of(random_calls(6, 900, NOW_S - 600, NOW_S)))
    sliding = await world.query.sliding_totals(NOW_S - 300, NOW_S, 10, 60, ("service",))
    windows = list(sliding.windows())
    assert [window.end_s for window in windows] == list(range(NOW_S - 300, NOW_S + 1, 10))
    for window in itertools.islice(windows, 0, None, 7):
        alone = await world.query.totals(60, ("service",), window.end_s)
        assert alone.start_s == window.start_s
        assert dict(alone.select(("service",), alone.groups())) == dict(window.select(("service",), window.groups()))


async def test_what_may_not_be_asked_is_refused(world: World) -> None:
    """The bounds of other questions hold here as well."""
    with pytest.raises(QuestionError, match="window"):
        await world.query.totals(0, ("service",))
    with pytest.raises(QuestionError, match="unknown field"):
        await world.query.totals(60, ("colour",))  # type: ignore[arg-type]
    with pytest.raises(QuestionError, match="steps"):
        await world.query.sliding_totals(0, 86_400, 1, 60, ("service",))
