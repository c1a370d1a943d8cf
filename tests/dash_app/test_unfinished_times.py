"""A chosen time that is not over: pages show what there is of it, from its start on, and say when it has not begun."""

from __future__ import annotations

from typing import Any

import pytest

from dash_app import containers, overview, pipeline, service, traces
from dash_app.overview.kpis import kpis_of
from dash_app.overview.snapshot import take_snapshot
from dash_app.service.snapshot import ServiceView
from dash_app.service.snapshot import take_snapshot as take_service_snapshot
from dash_app.shell.answering import Answering
from dash_app.shell.filter_choices import FilterChoices
from dash_app.shell.view import search_of, view_of
from query import TracesAnswer
from query.pipeline import PipelineQuery
from telemetry import SeriesKey
from tests.support.dash_pages import calls
from tests.support.doubles import ManualClock
from tests.support.query_world import NOW_S, World, make_world

UNFINISHED = view_of("?from=2023-11-14T22:10:00Z&to=2023-11-14T23:00:00Z")
START_S = NOW_S - 200
AHEAD = view_of("?from=2023-11-14T22:15:00Z&to=2023-11-14T23:00:00Z")


class Noting:
    """Passes questions about resources on, answers those about traces, and notes what time all of them are about."""

    def __init__(self, world: World) -> None:
        self._resources = world.resources
        self.spans: list[tuple[int, int]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._resources, name)

    async def resources(self, start_s: int, end_s: int, *more: Any) -> Any:
        self.spans.append((start_s, end_s))
        return await self._resources.resources(start_s, end_s, *more)

    async def recent_service(self, _name: str, start_s: int, end_s: int, *_more: Any) -> None:
        self.spans.append((start_s, end_s))

    async def traces(self, start_s: int, end_s: int, *_more: Any) -> TracesAnswer:
        self.spans.append((start_s, end_s))
        return TracesAnswer(start_s, end_s, [], None, False, None, START_S)


class Nothing:
    """No reports, and nothing noted."""

    async def read(self, *_span: int) -> list[Any]:
        return []

    async def last(self, _at_s: int, _within_s: int) -> None:
        return None


@pytest.fixture
async def world() -> World:
    world = make_world()
    await world.commit(*(calls(SeriesKey("shop"), NOW_S - age_s, [0.1]) for age_s in range(3, 600)))
    await world.commit(calls(SeriesKey("gone"), START_S - 10, [0.1]))
    return world


def answering(world: World, noting: Any) -> Answering:
    pages = (
        overview.page(world.query, noting),
        service.page(world.query, noting),
        containers.page(noting),
        traces.page(noting, world.query),
        pipeline.page(PipelineQuery(Nothing(), Nothing(), ManualClock(NOW_S + 0.5))),
    )
    return Answering(pages, lambda: 1.0, world.clock)


async def receipt(world: World, page: str, search: str) -> Any:
    shown = answering(world, Noting(world))
    asked = shown.asked(page, search, 0)
    assert asked is not None
    return (await shown.answer(asked))["receipt"]


async def test_figures_begin_where_the_chosen_time_does(world: World) -> None:
    """The cards, the table and the charts of both pages of requests; the rate is that of the time that has passed."""
    noting: Any = Noting(world)
    shown = await take_snapshot(world.query, noting, UNFINISHED, "day")
    assert [item.service for item in shown.services.items] == ["shop"]
    assert shown.services.total.calls == shown.pair[1].calls == 198
    assert (shown.overall.start_s, shown.overall.end_s) == (START_S, NOW_S - 2)
    assert shown.before is not None
    assert shown.before.start_s == START_S - 86_400
    assert (kpis_of(shown)[0].figure.number, kpis_of(shown)[0].note) == ("1.00", "198 in 3m 18s")
    details = (await take_service_snapshot(world.query, noting, ServiceView(UNFINISHED, "shop"))).details
    assert details is not None
    assert details.summary.total.calls == details.totals.items[0].total.calls == 198
    assert details.overall.start_s == details.latency.start_s == START_S
    assert noting.spans == [(START_S, NOW_S - 2)]


async def test_containers_traces_the_pipeline_and_filters_begin_there_too(world: World) -> None:
    """Each of them asks up to now, and not for the length of the whole time."""
    noting: Any = Noting(world)
    pages = answering(world, noting)
    for page in ("containers", "traces"):
        asked = pages.asked(page, search_of(UNFINISHED), 0)
        assert asked is not None
        await pages.answer(asked)
    (containers_start_s, containers_end_s), (traces_start_s, traces_end_s) = noting.spans
    assert containers_start_s == traces_start_s == START_S
    assert NOW_S - 5 <= containers_end_s <= traces_end_s <= NOW_S + 1
    chosen = UNFINISHED.range
    answer = await PipelineQuery(Nothing(), Nothing(), world.clock).pipeline(chosen.length_s, chosen.end_s)
    assert (answer.start_s, answer.end_s) == (START_S, NOW_S)
    assert {values[1] for values in await FilterChoices(world.query).seen(chosen)} == {"shop"}


@pytest.mark.parametrize("page", ["overview", "service", "containers", "traces", "pipeline"])
async def test_a_time_that_has_not_begun_is_said_to_be_so(world: World, page: str) -> None:
    """Nothing else is shown in its place."""
    found = await receipt(world, page, search_of(AHEAD))
    assert (found["state"], found["is_past"]) == ("empty", False)
    assert found["message"].startswith("This time has not begun.")
    assert await FilterChoices(world.query).seen(AHEAD.range) == ()


async def test_what_is_not_over_moves_on(world: World) -> None:
    """It is updated as often as a range up to now of its length, and not called past before it is."""
    unfinished = await receipt(world, "overview", search_of(UNFINISHED))
    assert (unfinished["is_past"], unfinished["pace_s"]) == (False, 5)
    assert (await receipt(world, "traces", search_of(UNFINISHED)))["pace_s"] == 5
    world.advance(3_600)
    over = await receipt(world, "overview", search_of(UNFINISHED))
    assert (over["is_past"], over["pace_s"]) == (True, 60)


@pytest.mark.parametrize("page", ["overview", "service", "containers", "traces", "pipeline"])
async def test_what_is_over_is_called_past_on_every_page_of_a_range(world: World, page: str) -> None:
    """Also where the page is asked at a pace of its own."""
    world.advance(3_600)
    assert (await receipt(world, page, search_of(UNFINISHED)))["is_past"]
