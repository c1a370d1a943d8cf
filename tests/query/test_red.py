"""RED over time: the right steps, from the right source, of every call exactly once."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from query import GroupBy, QuerySettings, QuestionError, SeriesFilter, StorageUnavailableError
from query.grouping import FIELD_OF
from telemetry import SeriesKey
from tests.support.calls import Call, check_red, point, points_of, random_calls
from tests.support.query_world import NOW_S, World, make_world

CHURN = SeriesKey("churn", http_route="/predict", http_status_class="2xx")
PRICES = SeriesKey("prices", http_route="/predict", http_status_class="2xx")


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    is_live=st.booleans(),
    start_s=st.integers(NOW_S - 400, NOW_S - 1),
    length_s=st.integers(1, 400),
    step_s=st.integers(1, 60),
    group_by=st.lists(st.sampled_from(list(FIELD_OF)), unique=True, max_size=3),
    service=st.sampled_from([None, "churn", "unheard of"]),
)
async def test_red_equals_a_plain_count(
    seed: int,
    is_live: bool,
    start_s: int,
    length_s: int,
    step_s: int,
    group_by: list[GroupBy],
    service: str | None,
) -> None:
    """From either source, for any range, step, grouping and filter, RED is what counting the calls one by one gives."""
    calls = random_calls(seed, 300, NOW_S - 450, NOW_S + 1)
    world = make_world(complete_since_s=NOW_S - 900 if is_live else NOW_S)
    await world.commit(*points_of(calls))
    end_s = min(start_s + length_s, NOW_S + 1)
    where = SeriesFilter(service_name=service)
    answer = await world.query.red(start_s, end_s, step_s, group_by, where)
    assert answer.source == ("live" if is_live else "history")
    assert start_s - answer.step_s < answer.start_s <= start_s
    assert end_s <= answer.end_s < end_s + (1 if is_live else 10)
    check_red(answer, calls, group_by, where)


@pytest.mark.parametrize("kind", ["CLIENT", "PRODUCER", "INTERNAL"])
async def test_only_a_services_own_requests_are_its_calls(world: World, kind: str) -> None:
    """What it asks of others, and the steps of its models, are stored beside them and are no calls of it."""
    other = CHURN._replace(span_kind=kind, http_route="", peer="features", operation="predict")
    await world.commit(point(CHURN, NOW_S - 10, [0.1]), point(other, NOW_S - 10, [5.0, 5.0]))
    red = await world.query.red(NOW_S - 60, NOW_S, 1)
    services = await world.query.services(60)
    assert red.items[0].total.calls == services.total.calls == 1
    where = SeriesFilter(span_kinds=frozenset({kind}))
    asked = await world.query.red(NOW_S - 60, NOW_S, 1, ("peer", "operation"), where)
    assert [(item.labels, item.total.calls) for item in asked.items] == [
        ({"peer": "features", "operation": "predict"}, 2)
    ]


async def test_a_call_at_an_edge_belongs_to_the_later_of_two_adjoining_ranges(world: World) -> None:
    """Ranges are half-open: a call in the second where one range ends and the next begins is counted once."""
    edge_s = NOW_S - 100
    await world.commit(point(CHURN, edge_s - 1, [0.1]), point(CHURN, edge_s, [0.1]))
    before = await world.query.red(edge_s - 60, edge_s, 1)
    after = await world.query.red(edge_s, edge_s + 60, 1)
    assert [before.items[0].total.calls, after.items[0].total.calls] == [1, 1]
    assert before.items[0].steps[-1].calls == after.items[0].steps[0].calls == 1


async def test_the_history_answers_when_the_live_window_does_not_reach_back() -> None:
    """A range from before the window was complete is answered by the history, in steps of a multiple of its buckets."""
    world = make_world(complete_since_s=NOW_S - 100)
    await world.commit(point(CHURN, NOW_S - 500, [0.1]), point(CHURN, NOW_S - 50, [0.1]))
    longer = await world.query.red(NOW_S - 603, NOW_S + 1, 15)
    shorter = await world.query.red(NOW_S - 100, NOW_S + 1, 1)
    assert (longer.source, longer.step_s, longer.start_s) == ("history", 20, NOW_S - 603 - (NOW_S - 603) % 20)
    assert (shorter.source, shorter.step_s, shorter.start_s) == ("live", 1, NOW_S - 100)
    assert longer.items[0].total.calls == 2


async def test_the_live_window_answers_all_when_the_history_began_with_it() -> None:
    """On a new system every second shows from the first minute on, though the range begins before ModelWatch did."""
    began_s = NOW_S - 27
    world = make_world(complete_since_s=began_s)
    empty = await world.query.red(NOW_S - 300, NOW_S + 1, 1)
    await world.commit(point(CHURN, began_s + 1, [0.1]), point(CHURN, NOW_S - 3, [0.1]))
    world.advance(2)
    answer = await world.query.red(NOW_S - 300, NOW_S + 1, 1)
    assert (empty.source, empty.items) == ("live", ())
    assert (answer.source, answer.step_s, answer.items[0].total.calls) == ("live", 1, 2)


async def test_a_history_that_began_a_little_earlier_is_not_overlooked() -> None:
    """When the history's first bucket holds a call that the window lacks, the history answers."""
    began_s = NOW_S - 27
    world = make_world(complete_since_s=began_s)
    await world.history.commit([], [point(CHURN, began_s - 1, [0.1])])
    await world.commit(point(CHURN, began_s + 1, [0.1]))
    answer = await world.query.red(NOW_S - 300, NOW_S + 1, 1)
    assert (answer.source, answer.items[0].total.calls) == ("history", 2)


async def test_a_reset_of_the_feed_sends_the_same_question_to_the_history(world: World) -> None:
    """Once the feed says that points may be missing, no kept answer from the live window is given again."""
    await world.commit(point(CHURN, NOW_S - 50, [0.1]))
    assert (await world.query.red(NOW_S - 60, NOW_S + 1, 1)).source == "live"
    await world.history.commit([], [point(CHURN, NOW_S - 50, [0.1])])
    await world.feed.reset()
    answer = await world.query.red(NOW_S - 60, NOW_S + 1, 1)
    assert (answer.source, answer.items[0].total.calls) == ("history", 2)


async def test_late_points_change_the_steps_they_belong_to(world: World) -> None:
    """What was derived before is derived anew where points came late, and the rest stays."""
    await world.commit(*(point(CHURN, NOW_S - age_s, [0.1]) for age_s in range(1, 100)))
    first = await world.query.red(NOW_S - 100, NOW_S + 1, 1)
    await world.commit(point(CHURN, NOW_S - 70, [0.4], errors=1), point(PRICES, NOW_S - 70, [0.1]))
    second = await world.query.red(NOW_S - 100, NOW_S + 1, 1)
    late = second.items[0].steps[30]
    assert (late.time_s, late.calls, late.errors) == (NOW_S - 70, 2, 1)
    assert late.p95_s == pytest.approx(0.4, rel=0.006)
    changed = [a != b for a, b in zip(first.items[0].steps, second.items[0].steps, strict=True)]
    assert [index for index, is_changed in enumerate(changed) if is_changed] == [30]
    assert [item.labels for item in second.items] == [{"service": "churn"}, {"service": "prices"}]


async def test_late_points_appear_in_the_history_within_the_recheck_time() -> None:
    """Old figures are read again after `history_recheck_s`, recent ones after `history_cache_s`."""
    world = make_world(complete_since_s=NOW_S)
    await world.history.commit([], [point(CHURN, NOW_S - 800, [0.1]), point(CHURN, NOW_S - 5, [0.1])])

    async def calls_now() -> int:
        answer = await world.query.red(NOW_S - 900, NOW_S + 1, 10)
        return answer.items[0].total.calls

    assert await calls_now() == 2
    await world.history.commit([], [point(CHURN, NOW_S - 800, [0.1]), point(CHURN, NOW_S - 5, [0.1])])
    assert await calls_now() == 2
    world.advance(1.1)
    assert await calls_now() == 3
    world.advance(4)
    assert await calls_now() == 4


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), is_live=st.booleans())
async def test_a_cache_changes_nothing_but_the_effort(seed: int, is_live: bool) -> None:
    """Asked every second while points keep coming, some late, a query with caches answers as one without any."""
    complete_since_s = NOW_S - 900 if is_live else NOW_S
    kept = make_world(complete_since_s=complete_since_s, settings=QuerySettings(history_cache_s=0, history_recheck_s=0))
    bare = make_world(
        complete_since_s=complete_since_s,
        settings=QuerySettings(cached_cells=0, history_cache_s=0, history_recheck_s=0),
    )
    calls: list[Call] = []
    for second in range(6):
        new = random_calls(seed + second, 40, NOW_S - 60, NOW_S + second + 1)
        calls += new
        for world in (kept, bare):
            await world.commit(*points_of(new))
        question = (NOW_S - 90 + second, NOW_S + second + 1, 3)
        answers = [await world.query.red(*question, ("route",)) for world in (kept, bare)]
        services = [await world.query.services(60) for world in (kept, bare)]
        assert answers[0] == answers[1]
        assert services[0] == services[1]
        check_red(answers[0], calls, ("route",), SeriesFilter())
        for world in (kept, bare):
            world.advance(1)


async def test_without_group_by_all_calls_are_one_series(world: World) -> None:
    """An empty grouping gives a single item with no labels."""
    await world.commit(point(CHURN, NOW_S - 5, [0.1]), point(PRICES, NOW_S - 5, [0.2]))
    answer = await world.query.red(NOW_S - 10, NOW_S, 1, ())
    assert [(item.labels, item.total.calls) for item in answer.items] == [({}, 2)]


@pytest.mark.parametrize(
    ("arguments", "parameter", "words"),
    [
        ((NOW_S, NOW_S, 1), "end_s", "after the start"),
        ((NOW_S, NOW_S - 10, 1), "end_s", "after the start"),
        ((-10, NOW_S, 1), "start_s", "before 1970"),
        ((NOW_S - 800 * 86_400, NOW_S, 86_400), "start_s", "at most 63158400 s"),
        ((NOW_S - 3_600, NOW_S, 1), "step_s", "ask for a step of 2 s or more"),
        ((NOW_S - 60, NOW_S, 0), "step_s", "at least 1 s"),
        ((NOW_S - 60, NOW_S, 1, ("colour",)), "group_by", "unknown field 'colour': use any of service, version"),
        ((NOW_S - 60, NOW_S, 1, ("route", "route")), "group_by", "once"),
    ],
)
async def test_a_question_out_of_bounds_names_the_parameter_and_what_is_allowed(
    world: World, arguments: tuple[int, int, int], parameter: str, words: str
) -> None:
    """Nothing is read for a question that cannot be answered."""
    with pytest.raises(QuestionError, match=words) as caught:
        await world.query.red(*arguments)
    assert caught.value.parameter == parameter


async def test_too_many_points_are_refused() -> None:
    """An answer is bounded in what is read for it."""
    world = make_world(settings=QuerySettings(max_points=1_000))
    await world.commit(*(point(SeriesKey(f"s{n}"), NOW_S - 5, [0.1]) for n in range(1_100)))
    with pytest.raises(QuestionError, match="more than 1000 stored points"):
        await world.query.red(NOW_S - 60, NOW_S, 1, ())


async def test_a_history_that_does_not_answer_is_an_error_only_when_it_is_needed() -> None:
    """The live window goes on answering for what it holds; everything else says that storage is unavailable."""
    world = make_world(complete_since_s=NOW_S - 100)
    await world.commit(point(CHURN, NOW_S - 50, [0.1]))
    world.history.is_down = True
    assert (await world.query.red(NOW_S - 60, NOW_S, 1)).items[0].total.calls == 1
    for _ in range(2):
        with pytest.raises(StorageUnavailableError):
            await world.query.red(NOW_S - 300, NOW_S, 1)
    with pytest.raises(StorageUnavailableError):
        await world.query.check()
    world.history.is_down = False
    assert (await world.query.red(NOW_S - 300, NOW_S, 1)).items[0].total.calls == 1


async def test_live_figures_settle_after_the_set_time(world: World) -> None:
    """The settled end lies `settle_s` whole seconds back."""
    assert world.query.settled_end_s() == NOW_S - 2
