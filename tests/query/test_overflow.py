"""An answer is bounded in groups, and says how the rest is doing."""

from __future__ import annotations

import pytest

from query import OVERFLOW, QuerySettings, Status
from telemetry import SeriesKey
from tests.support.calls import Call, check_total, point, points_of
from tests.support.query_world import NOW_S, make_world

CHURN, PRICES = SeriesKey("churn", "1.0", "a", "prod"), SeriesKey("prices")


@pytest.mark.parametrize("is_live", [True, False])
async def test_a_sender_of_many_service_names_takes_the_answer_from_nobody(is_live: bool) -> None:
    """Of 1500 services with few calls and two with many, those two are told, and every call is in some total."""
    world = make_world(complete_since_s=NOW_S - 900 if is_live else NOW_S)
    noise = [
        Call(SeriesKey(f"job-{number:04}", "7"), NOW_S - 5, 1_000_000 * (number + 1), number % 5 == 0)
        for number in range(1_500)
    ]
    real = [Call(key, NOW_S - age_s, 50_000_000, False) for key in (CHURN, PRICES) for age_s in range(3, 53)]
    await world.commit(*points_of([*noise, *real]))
    services = await world.query.services(60)
    red = await world.query.red(NOW_S - 59, NOW_S + 1, 10)
    names = [item.service for item in services.items]
    assert len(names) == len(set(names)) == len(red.items) == 1_000
    assert [item.labels["service"] for item in red.items] == sorted(names)
    assert {"churn", "prices", "job-0000", "job-0996", OVERFLOW} <= set(names)
    check_total(services.total, [*noise, *real], services.end_s - services.start_s)
    rest = services.items[names.index(OVERFLOW)]
    check_total(rest.total, noise[997:], services.end_s - services.start_s)
    assert (rest.status, rest.versions, rest.instance_count) == (Status.CRITICAL, (), 503)
    churn = services.items[names.index("churn")]
    assert (churn.status, churn.total.calls, churn.versions, churn.environments) == (
        Status.HEALTHY,
        50,
        ("1.0",),
        ("prod",),
    )
    of_rest = next(item for item in red.items if item.labels == {"service": OVERFLOW})
    check_total(of_rest.total, noise[997:], red.end_s - red.start_s)
    assert sum(step.calls for step in of_rest.steps) == 503


async def test_every_label_of_the_rest_says_so() -> None:
    """Grouped by two fields, the smallest groups of every service are one; the largest keep their place."""
    world = make_world(settings=QuerySettings(max_groups=3))
    await world.commit(
        *(point(SeriesKey("churn", http_route=f"/{route}"), NOW_S - 5, [0.1] * (route + 1)) for route in range(6))
    )
    answer = await world.query.red(NOW_S - 60, NOW_S, 1, ("service", "route"))
    assert [(*item.labels.values(), item.total.calls) for item in answer.items] == [
        ("churn", "/4", 5),
        ("churn", "/5", 6),
        (OVERFLOW, OVERFLOW, 10),
    ]


async def test_a_service_that_bears_the_name_of_the_rest_is_part_of_it() -> None:
    """No name is given twice, however many calls that service has."""
    world = make_world(settings=QuerySettings(max_groups=3))
    keys = [SeriesKey(OVERFLOW), *(SeriesKey(name) for name in "abc")]
    await world.commit(*(point(key, NOW_S - 5, [0.1] * (9 - number)) for number, key in enumerate(keys)))
    services, red = await world.query.services(60), await world.query.red(NOW_S - 60, NOW_S, 1)
    expected = [("a", 8), ("b", 7), (OVERFLOW, 9 + 6)]
    assert [(item.service, item.total.calls) for item in services.items] == expected
    assert [(item.labels["service"], item.total.calls) for item in red.items] == expected


async def test_room_for_one_holds_everything() -> None:
    """With a single place all services are the rest; a single service keeps its name."""
    world = make_world(settings=QuerySettings(max_groups=1))
    await world.commit(point(CHURN, NOW_S - 5, [0.1]))
    assert [item.service for item in (await world.query.services(60)).items] == ["churn"]
    await world.commit(point(PRICES, NOW_S - 5, [0.1]))
    assert [(item.service, item.total.calls) for item in (await world.query.services(60)).items] == [(OVERFLOW, 2)]


async def test_groups_at_the_limit_are_left_as_they_are() -> None:
    """Nothing is folded while all have room."""
    world = make_world(settings=QuerySettings(max_groups=2))
    await world.commit(point(CHURN, NOW_S - 5, [0.1]), point(PRICES, NOW_S - 5, [0.1]))
    assert {item.service for item in (await world.query.services(60)).items} == {"churn", "prices"}
    assert len((await world.query.red(NOW_S - 60, NOW_S, 1)).items) == 2
