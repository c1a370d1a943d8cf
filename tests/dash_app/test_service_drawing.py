"""What is drawn of one service: charts, marks of releases and rows, with no browser."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from dash_app.service import figures
from dash_app.service.answer import answer_of
from dash_app.service.breakdowns import ALL_OTHERS, BREAKDOWNS, name_and_details, traces_of
from dash_app.service.releases import Release
from dash_app.service.rows import rows_of
from dash_app.service.snapshot import Details, ServiceView, Snapshot, take_snapshot
from dash_app.shell.view import View
from query import OVERFLOW, LatencyAnswer, QuerySettings, SeriesFilter
from query.answers import LatencyStep
from telemetry import SeriesKey
from tests.support.dash_pages import calls
from tests.support.query_world import NOW_S, World, make_world

SERVICE = SeriesKey("fraud", "1.0", "a", http_route="/predict", http_method="POST", http_status_class="2xx")


async def details_of(world: World, asked: ServiceView | None = None) -> tuple[Snapshot, Details]:
    snapshot = await take_snapshot(world.query, world.resources, asked or ServiceView(View(), "fraud"))
    assert snapshot.details is not None
    return snapshot, snapshot.details


async def test_only_versions_that_are_new_are_releases() -> None:
    """Not those of the first step, nor those that are seldom called and were there days ago."""
    world = make_world()
    for second in range(NOW_S - 310, NOW_S - 2, 2):
        await world.commit(calls(SERVICE, second, [0.1]))
    for version, second in (("2.0", NOW_S - 100), ("2.0", NOW_S - 50), ("0.9", NOW_S - 60), ("0.9", NOW_S - 86_400)):
        await world.commit(calls(SERVICE._replace(service_version=version), second, [0.1]))
    _, details = await details_of(world)
    assert [release.version for release in details.releases] == ["2.0"]
    assert details.releases[0].time_s <= NOW_S - 100 < details.releases[0].time_s + 3


def test_releases_are_marked_on_the_axis_of_time() -> None:
    """A line through the chart at the moment, and its name, letter by letter."""
    empty = {"data": [], "layout": {"xaxis": {"range": [1_699_999_900_000, 1_700_000_100_000]}}}
    marked = figures.with_releases(empty, [Release("<b>2", 1_700_000_000), Release("3", 1_700_000_090)])
    assert marked["layout"]["shapes"][0]["x0"] == marked["layout"]["shapes"][0]["x1"] == 1_700_000_000_000
    assert marked["layout"]["annotations"][0]["text"] == "&lt;b&gt;2"
    assert [note["xanchor"] for note in marked["layout"]["annotations"]] == ["left", "right"]
    assert figures.with_releases(empty, []) == empty
    many = figures.with_releases(empty, [Release(str(number), number) for number in range(99)])
    assert [shape["x0"] for shape in many["layout"]["shapes"]] == [1000 * number for number in range(87, 99)]
    assert [note["text"] for note in many["layout"]["annotations"]] == ["98"], "they are all at the same place"


def test_names_of_releases_are_never_written_over_each_other() -> None:
    """Where there is no room the latest is named; apart from each other all are, on either side of their lines."""
    empty = {"data": [], "layout": {"xaxis": {"range": [0, 100_000]}}}

    def names(*releases: tuple[str, int]) -> list[str]:
        marked = figures.with_releases(empty, [Release(*one) for one in releases])
        assert len(marked["layout"]["shapes"]) == len(releases)
        return [note["text"] for note in marked["layout"]["annotations"]]

    assert names(("1.2.3-candidate", 10), ("1.2.3", 12)) == ["1.2.3"]
    assert names(("1.2.3", 10), ("1.2.4", 50), ("1.2.5", 95)) == ["1.2.3", "1.2.4", "1.2.5"]
    assert names(("1.2.3-candidate", 70), ("1.2.4-candidate", 99)) == ["1.2.4-candidate"], "the last one reaches back"


@pytest.mark.parametrize(
    ("bounds_s", "texts"),
    [
        ((0.09, 0.21, 0.6), ["100 ms", "200 ms", "500 ms"]),
        ((0.001, 0.02, 3.0), ["1 ms", "3 ms", "10 ms", "30 ms", "100 ms", "300 ms", "1 s", "3 s"]),
        ((1e-6, 1e3), ["1 µs", "10 µs", "100 µs", "1 ms", "10 ms", "100 ms", "1 s", "10 s", "100 s", "1000 s"]),
    ],
)
def test_ticks_of_the_heatmap_are_durations_with_units(bounds_s: tuple[float, ...], texts: list[str]) -> None:
    """Round ones between the bounds, of each decade as many as there is room for."""
    answer = LatencyAnswer(0, 10, 10, "live", bounds_s, (LatencyStep(0, (1,) * (len(bounds_s) - 1)),))
    axis = figures.heatmap(answer, "r")["layout"]["yaxis"]
    assert [text.replace("\u00a0", " ") for text in axis["ticktext"]] == texts
    assert all(bounds_s[0] <= value <= bounds_s[-1] for value in axis["tickvals"])


def test_rows_lead_to_the_requests_that_they_count() -> None:
    """With the filter of the group, and the kind of spans; not where others would be shown too."""
    route = BREAKDOWNS["route"]
    assert traces_of(route, {"route": "/predict", "method": "POST"}, "fraud") == {
        "name": "fraud",
        "sort": "duration",
        "route": "/predict",
    }
    assert traces_of(route, {"route": "", "method": "POST"}, "fraud") is None
    assert traces_of(route, {"route": OVERFLOW, "method": OVERFLOW}, "fraud") is None
    step = traces_of(BREAKDOWNS["step"], {"operation": "predict", "model": "digits"}, "fraud")
    assert step == {"name": "fraud", "sort": "duration", "kind": "step", "operation": "predict", "model": "digits"}


def test_heatmap_counts_every_call_between_its_bounds() -> None:
    """One row for each bucket, one column for each step, nothing where there was no call."""
    answer = LatencyAnswer(
        100,
        130,
        10,
        "live",
        (0.001, 0.002, 0.004),
        (LatencyStep(100, (3, 0)), LatencyStep(110, (0, 1)), LatencyStep(120, (0, 0))),
    )
    figure = figures.heatmap(answer, "r")
    trace = figure["data"][0]
    assert trace["z"] == [[3, None, None], [None, 1, None]]
    assert trace["x"] == [100_000, 110_000, 120_000, 130_000], "edges, one more than steps"
    assert trace["y"] == [0.001, 0.002, 0.004]
    assert trace["customdata"][0][0].replace("\u00a0", " ") == "1.00 ms – 2.00 ms"
    assert [stop[0] for stop in trace["colorscale"]] == sorted(stop[0] for stop in trace["colorscale"])
    assert figure["layout"]["xaxis"]["range"] == [100_000, 130_000]
    assert json.loads(json.dumps(figure)) == figure
    assert figures.heatmap(replace(answer, bounds_s=(), steps=(LatencyStep(100, ()),)), "r")["data"] == []


async def test_what_was_before_lies_on_the_axis_of_now() -> None:
    """The calls of the same time of yesterday, a day later; without any there is no line at zero."""
    world = make_world()
    for end_s, count in ((NOW_S, 2), (NOW_S - 86_400, 7)):
        for second in range(end_s - 290, end_s - 2):
            await world.commit(calls(SERVICE, second, [0.1] * count))
    snapshot, _ = await details_of(world, ServiceView(View(), "fraud", compared="day"))
    figure = answer_of(snapshot).figures["service-throughput"]
    now, ghost = figure["data"]
    assert (now["name"], ghost["name"]) == ("2xx", "yesterday")
    assert set(ghost["y"][5:-5]) == {7.0}
    assert now["x"][0] - 60_000 <= ghost["x"][0] <= now["x"][-1]
    assert "stackgroup" not in ghost
    snapshot, _ = await details_of(world, ServiceView(View(), "fraud", compared="week"))
    answer = answer_of(snapshot)
    assert not [value for value in answer.figures["service-latency"]["data"][-1]["y"] if value is not None]
    assert answer.filling["service-latency-subtitle"] == {"children": "no calls last week"}


async def test_rows_tell_whose_time_and_whose_errors_they_are() -> None:
    """The group that takes most of the time comes first; the shares of all groups are 1 together."""
    world = make_world()
    await world.commit(calls(SERVICE, NOW_S - 20, [0.1] * 90, 1))
    await world.commit(calls(SERVICE._replace(http_route="/explain"), NOW_S - 20, [3.0] * 9, 3))
    await world.commit(calls(SERVICE._replace(http_route=""), NOW_S - 20, [0.01]))
    _, details = await details_of(world)
    rows = rows_of(BREAKDOWNS["route"], details.totals, details.breakdown, "fraud")
    assert [(row["name"], row["note"], row["calls"]) for row in rows] == [
        ("/explain", "POST", 9),
        ("/predict", "POST", 90),
        ("(no route)", "POST", 1),
    ]
    assert [row["blame"] for row in rows] == [0.75, 0.25, 0]
    assert sum(row["time"] for row in rows) == pytest.approx(1)
    assert rows[0]["time"] == pytest.approx(27 / 36.01)
    assert sum(row["calls"] for row in rows) == details.summary.total.calls


async def test_groups_beyond_the_limit_are_named_for_people() -> None:
    """What an answer has no room for is one row, with exact totals."""
    world = make_world(settings=QuerySettings(max_groups=3))
    for number in range(9):
        await world.commit(calls(SERVICE._replace(http_route=f"/{number}"), NOW_S - 20, [0.1] * (10 - number)))
    _, details = await details_of(world)
    rows = rows_of(BREAKDOWNS["route"], details.totals, details.breakdown, "fraud")
    assert {row["name"] for row in rows} == {"/0", "/1", ALL_OTHERS}
    assert sum(row["calls"] for row in rows) == details.summary.total.calls
    assert name_and_details(BREAKDOWNS["version"], {"version": OVERFLOW}) == (ALL_OTHERS, "")


async def test_before_the_first_call_it_is_said_how_to_send_some() -> None:
    """As on the overview: by no reason at all. When there were calls, though not lately, it is said what to choose."""
    world = make_world()

    async def reason(name: str | None) -> str | None:
        return answer_of(await take_snapshot(world.query, world.resources, ServiceView(View(), name))).why_empty

    assert [await reason(None), await reason("fraud")] == ["", ""]
    await world.commit(calls(SERVICE, NOW_S - 400, [0.1]))
    assert await reason(None) == "No calls in the last 5 minutes. Choose a longer range."


async def test_the_worst_comes_first_where_one_is_chosen() -> None:
    """Without a name the page lists the services; without any calls it says why there are none."""
    world = make_world()
    await world.commit(*(calls(SERVICE, NOW_S - age, [3.0] * 20, 20) for age in range(3, 40)))
    await world.commit(*(calls(SeriesKey("all-well"), NOW_S - age, [0.1] * 20) for age in range(3, 40)))
    answer = answer_of(await take_snapshot(world.query, world.resources, ServiceView(View())))
    assert answer.why_empty is None
    assert answer.filling["service"] == {"hidden": True}
    assert [link.fields["name"] for link in answer.filling["service-list"]["content"]] == ["fraud", "all-well"]
    await world.commit(calls(SeriesKey("fresh"), NOW_S - 3, [0.1]))
    quiet = answer_of((await details_of(world))[0])
    assert quiet.newest_s == NOW_S - 3, "silence of one is its status, and no silence of all"
    prod = View(where=SeriesFilter(deployment_environment="prod"))
    missing = await take_snapshot(world.query, world.resources, ServiceView(prod, "nope"))
    assert answer_of(missing).why_empty == (
        "No calls of the service nope in the environment prod in the last 5 minutes. "
        "Choose a longer range, or clear filters."
    )
