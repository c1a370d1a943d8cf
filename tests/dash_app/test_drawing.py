"""What is drawn from an answer: cards, charts, rows and problems, with no browser."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from dash._utils import to_json

from dash_app.overview.answer import answer_of
from dash_app.overview.kpis import kpis_of
from dash_app.overview.rows import rows_of
from dash_app.overview.snapshot import Snapshot, take_snapshot
from dash_app.pages import Sources, pages_of
from dash_app.service import page as service_page
from dash_app.shared import charts, palette, red_charts
from dash_app.shared.joint_tasks import JointTasks
from dash_app.shared.kpis import Change
from dash_app.shared.legend import legend, throughput_legend
from dash_app.shared.problems import count_words, problem_count, problem_list
from dash_app.shared.ranking import UNNAMED, ranked_by
from dash_app.shell.page import Question
from dash_app.shell.receipt import receipt_of, receipt_of_failure
from dash_app.shell.view import RANGES, TimeRange, View
from query import QuerySettings, RedAnswer, SeriesFilter, TraceQuery
from telemetry import RedPoint, SeriesKey
from tests.support.dash_pages import WatchedQuery, calls
from tests.support.query_world import NOW_S, World, make_world
from tests.support.waiting import eventually


@pytest.fixture
async def world(model_points: list[RedPoint]) -> World:
    world = make_world()
    await world.commit(*model_points)
    return world


@pytest.fixture
async def snapshot(world: World) -> Snapshot:
    return await take_snapshot(world.query, world.resources, View())


async def answer_about(*names: str, field: str = "service_name") -> RedAnswer:
    world = make_world()
    for index, name in enumerate(names):
        series = SeriesKey(**{"service_name": "any", field: name})
        await world.commit(calls(series, NOW_S - 100, [0.1] * (index + 1)))
    end_s = world.query.settled_end_s()
    return await world.query.red(end_s - 300, end_s, 6, ["route" if field == "http_route" else "service"])


def kpi_numbers(snapshot: Snapshot) -> dict[str, str]:
    return {kpi.name: kpi.figure.number for kpi in kpis_of(snapshot)}


async def test_figures_of_the_charts_add_up_to_the_answer(snapshot: Snapshot) -> None:
    """The stacked areas hold every call of the range: those shown by name and all others as one."""
    ranked = ranked_by(snapshot.by_service, "service")
    figure = red_charts.throughput(snapshot.by_service, ranked, "r")
    assert len(figure["data"]) == len(palette.SERIES) + 1
    seconds = [charts.step_seconds(snapshot.by_service, time // 1000) for time in figure["data"][0]["x"]]
    drawn = sum(rate * width for area in figure["data"] for rate, width in zip(area["y"], seconds, strict=True))
    assert drawn == pytest.approx(sum(item.total.calls for item in snapshot.by_service.items), rel=1e-3)
    assert sum(seconds) == snapshot.by_service.end_s - snapshot.by_service.start_s


async def test_last_step_is_a_rate_over_the_seconds_it_has() -> None:
    """A step that has only begun shows no drop in the traffic."""
    world = make_world()
    series = SeriesKey("steady")
    await world.commit(*(calls(series, second, [0.1] * 5) for second in range(NOW_S - 200, NOW_S)))
    for advance in range(6):
        world.advance(1)
        await world.commit(calls(series, NOW_S + advance, [0.1] * 5))
        snapshot = await take_snapshot(world.query, world.resources, View())
        figure = red_charts.throughput(snapshot.by_service, ranked_by(snapshot.by_service, "service"), "r")
        assert figure["data"][0]["y"][-5:] == [5.0] * 5
        assert kpis_of(snapshot)[0].course[-5:] == (5.0,) * 5


async def test_figures_are_plain_json_and_free_of_theme(snapshot: Snapshot) -> None:
    """Nothing in them needs Plotly's classes, and surfaces are transparent."""
    ranked = ranked_by(snapshot.by_service, "service")
    for figure in (
        red_charts.throughput(snapshot.by_service, ranked, "r"),
        red_charts.latency(snapshot.overall, "r"),
        red_charts.errors(snapshot.overall, "r"),
    ):
        assert json.loads(json.dumps(figure)) == figure
        assert figure["layout"]["paper_bgcolor"] == figure["layout"]["plot_bgcolor"] == "rgba(0,0,0,0)"
        assert figure["layout"]["uirevision"] == "r"


async def test_lone_points_are_drawn_as_dots() -> None:
    """A service called once in a while has points that a line alone would not show."""
    world = make_world()
    await world.commit(*(calls(SeriesKey("rare"), NOW_S - age, [0.1]) for age in (30, 90, 150)))
    figure = red_charts.latency((await take_snapshot(world.query, world.resources, View())).overall, "r")
    line = figure["data"][1]
    assert [size for size, value in zip(line["marker"]["size"], line["y"], strict=True) if value is not None] == [5] * 3


async def test_names_are_escaped_for_plotly() -> None:
    """Tags, entities and letters that turn the direction of text are shown, not obeyed."""
    assert charts.plain('<a href="javascript:x">&lt;') == '&lt;a href="javascript:x"&gt;&amp;lt;'
    assert charts.plain("a\u202eb\nc") == "a\ufffdb\ufffdc"
    assert len(charts.plain("x" * 500)) == 48
    answer = await answer_about("", "<b>", field="http_route")
    figure = red_charts.throughput(answer, ranked_by(answer, "route"), "r")
    assert [area["name"] for area in figure["data"]] == [UNNAMED, "&lt;b&gt;"]


async def test_legend_names_the_busiest_and_counts_the_rest() -> None:
    """Three names fit a chart's head, or two and how many more there are; the tooltip has the others."""
    answer = await answer_about(*(f"service-{number}" for number in range(12)))
    parts = throughput_legend(ranked_by(answer, "service"))
    assert [part.title for part in parts[:2]] == ["service-11", "service-10"]
    assert (len(parts), parts[2].children) == (3, "+10")
    assert parts[2].title.startswith("service-9, ")
    few = throughput_legend(ranked_by(await answer_about("a", "b", "c"), "service"))
    assert [part.title for part in few] == ["c", "b", "a"]


def test_every_table_keeps_its_order_in_the_address(world: World) -> None:
    """Each that people can sort has a field for it, so that a link shows the same order."""
    traces = TraceQuery(QuerySettings(), world.query, world.history, world.clock)
    for page in pages_of(Sources(world.query, world.resources, traces=traces)):
        tables = {part.id for part in page.layout._traverse() if type(part).__name__ == "AgGrid"}  # type: ignore[no-untyped-call]
        assert {control.table for control in page.controls if control.table} == tables


def test_names_in_legends_are_told_apart_where_they_are_cut() -> None:
    """Short ones are never cut, the end of longer ones is always seen, and letters that belong together stay so."""
    short, long, other = legend([("throttled", "red"), ("python3.11 31934", "blue"), ("модель-классификатор", "green")])
    assert short.className == "legend-entry is-short"
    assert [part.children for part in long.children[1].children] == ["python3.11 3", "1934"]
    assert (long.className, long.title) == ("legend-entry", "python3.11 31934")
    assert [part.children for part in other.children[1].children] == ["модель-классификатор"]


async def test_cards_show_the_totals_of_the_view(world: World, snapshot: Snapshot) -> None:
    """Those of all services, in exactly the range."""
    answer = await world.query.services(300, end_s=world.query.settled_end_s())
    assert kpi_numbers(snapshot)["requests"] == f"{answer.total.rate_per_s:.0f}"
    assert kpi_numbers(snapshot)["unhealthy"] == "3"


async def test_changes_compare_the_halves_of_the_range(snapshot: Snapshot) -> None:
    """The later half against the earlier half: relative for rates and durations, in points for shares."""
    earlier, later = (
        replace(snapshot.services.total, calls=100, rate_per_s=rate, errors=errors, p50_s=p50, p95_s=0.1)
        for rate, errors, p50 in ((10.0, 1, 0.1), (12.5, 6, 5.0))
    )
    changes = {kpi.name: kpi.change for kpi in kpis_of(replace(snapshot, pair=(earlier, later)))}
    assert {name: change and change.text.replace("\u00a0", " ") for name, change in changes.items()} == {
        "requests": "▲ +25.0 %",
        "p50": "▲ ×50.0",
        "p95": "● 0.0 %",
        "p99": "● 0.0 %",
        "apdex": "● 0.00",
        "error-rate": "▲ +5.00 pp",
        "client-errors": "● 0.00 pp",
        "unhealthy": "2 critical",
    }
    assert changes["requests"].tone == "neutral"
    assert changes["p50"].tone == changes["error-rate"].tone == "bad"
    silent = replace(earlier, calls=0, rate_per_s=0.0, p50_s=None)
    assert kpis_of(replace(snapshot, pair=(silent, later)))[0].change is None


async def test_rows_follow_the_answer(snapshot: Snapshot) -> None:
    """The worst service comes first; numbers are kept for sorting beside their text; problems colour their figures."""
    rows = rows_of(snapshot)
    assert [row["service"] for row in rows] == [item.service for item in snapshot.services.items]
    by_name = {row["service"]: row for row in rows}
    assert (by_name["img-moderation"]["latency_tone"], by_name["img-moderation"]["errors_tone"]) == (
        "critical",
        "healthy",
    )
    assert by_name["speech-intent"]["errors_tone"] == "critical"
    assert by_name["doc-ocr"]["p95_text"].replace("\u00a0", " ") == f"{1000 * by_name['doc-ocr']['p95']:.0f} ms"
    assert by_name["churn-xgb"]["details"].startswith("churn-xgb · ")
    assert len(by_name["churn-xgb"]["traffic"]) in (60, 61)


async def test_problems_are_listed_with_their_evidence(snapshot: Snapshot, world: World) -> None:
    """Each with status and sentence; without any, the page says what was watched."""
    text = to_json(problem_list(snapshot.services))
    for item in snapshot.services.items:
        for problem in item.problems:
            assert problem.evidence in text
    assert problem_count(snapshot.services) == "3 now"
    healthy = await world.query.services(300, SeriesFilter(service_name="churn-xgb"))
    assert "No problems recognised" in to_json(problem_list(healthy))
    assert "is-good" in to_json(problem_list(healthy))
    assert problem_count(healthy) == ""


async def test_problems_of_a_past_range_are_those_at_its_end(world: World) -> None:
    """And are called so; verdicts on resources, which are of now, are not among them."""
    end_s = world.query.settled_end_s()
    past = Question(View(range=TimeRange("", 300, end_s)), {})
    world.advance(100)
    snapshot = await take_snapshot(world.query, world.resources, past.view)
    assert snapshot.verdicts is None
    assert answer_of(snapshot).filling["problem-count"] == {"children": "3 at the end of the range"}
    service = next(item.service for item in snapshot.services.items if item.problems)
    named = replace(past, fields={"name": service})
    page = service_page(world.query, world.resources)
    assert (await page.answer(named)).filling["service-problem-count"]["children"].endswith(" at the end of the range")
    assert count_words(0, is_over=True) == "at the end of the range", "nor is that nothing is amiss said of now"


async def test_silence_is_not_called_well(world: World) -> None:
    """Services that are not called any more are named with the time since; that is no problem, but no good news."""
    world.advance(100)
    silent = await take_snapshot(world.query, world.resources, View())
    number = len(silent.services.items)
    assert kpis_of(silent)[-1].change == Change(f"{number} silent", "neutral")
    entries = to_json(problem_list(silent.services))
    assert all(item.service in entries for item in silent.services.items)
    assert entries.count("No calls for 1\u00a0min") == number
    assert "No problems" not in entries
    assert problem_count(silent.services) == f"{number} silent"
    await world.commit(calls(SeriesKey("alive"), NOW_S + 90, [0.1] * 50))
    partly = await take_snapshot(world.query, world.resources, View())
    entries = to_json(problem_list(partly.services))
    assert "No problems recognised" in entries
    assert "1 service watched" in entries
    assert "is-good" not in entries
    assert kpis_of(partly)[-1].change == Change(f"{number} silent", "neutral")


async def test_names_that_cannot_be_seen_are_made_visible() -> None:
    """Spaces alone and letters that turn the direction of text are shown wherever the name is, and kept as its key."""
    world = make_world()
    for name in (" ", "\u202egnp.exe"):
        await world.commit(*(calls(SeriesKey(name, name), NOW_S - age, [9.0] * 20, 20) for age in range(3, 40)))
    snapshot = await take_snapshot(world.query, world.resources, View())
    rows = {row["service"]: row for row in rows_of(snapshot)}
    assert {name: (row["name"], row["is_blank"]) for name, row in rows.items()} == {
        " ": ("(blank)", True),
        "\u202egnp.exe": ("\ufffdgnp.exe", False),
    }
    ranked = ranked_by(snapshot.by_service, "service")
    assert [entry.label for entry in ranked.shown] == ["(blank)", "\ufffdgnp.exe"]
    shown = [row["details"] + row["note"] for row in rows.values()]
    shown += [entry.children[1].children[0].children[0].children for entry in problem_list(snapshot.services)]
    assert len(shown) == 6
    assert not any("\u202e" in text or text == " " for text in shown)


async def test_receipt_tells_an_empty_view_from_no_data(world: World) -> None:
    """Nothing ever seen needs no reason; a view that leaves everything out does."""
    empty = make_world()
    nothing = await take_snapshot(empty.query, empty.resources, View())
    assert receipt_of(1, answer_of(nothing), View(), NOW_S, 1.0) == {
        "ask": 1,
        "state": "empty",
        "message": "",
        "now_s": NOW_S,
        "end_s": NOW_S - 2,
        "newest_s": None,
        "pace_s": 1.0,
        "is_past": False,
        "stale_after_s": 30.0,
    }
    nowhere = View(where=SeriesFilter(deployment_environment="nowhere"))
    elsewhere = await take_snapshot(world.query, world.resources, nowhere)
    assert receipt_of(2, answer_of(elsewhere), elsewhere.view, NOW_S, 1.0)["message"].startswith(
        "No calls in the environment nowhere in the last 5"
    )


async def test_long_ranges_are_asked_less_often(snapshot: Snapshot) -> None:
    """Up to 15 minutes the page asks at the set interval, then at a fraction of a step."""
    paces = {
        name: receipt_of(1, answer_of(snapshot), View(choice), 0, 1.0)["pace_s"] for name, choice in RANGES.items()
    }
    assert paces == {"5m": 1, "15m": 1, "1h": 5, "6h": 30, "24h": 60, "7d": 60, "30d": 60, "90d": 60}
    assert receipt_of_failure(1, "no", 0, 2.0)["pace_s"] == 2.0


async def test_equal_views_are_asked_once_at_a_time(world: World) -> None:
    """Two pages with the same view share the questions; one that goes away leaves the other its answer."""
    query: Any = WatchedQuery(world.query)
    query.gate.clear()
    shared: JointTasks[View, Snapshot] = JointTasks(lambda view: take_snapshot(query, world.resources, view))
    waiting = [asyncio.create_task(shared.of(View())) for _ in range(3)]
    await eventually(lambda: query.held == 3, what="one snapshot asks three times for services")
    waiting[0].cancel()
    query.gate.set()
    first, second = await asyncio.gather(*waiting[1:])
    assert first is second
    assert (await shared.of(View())) is not first


async def test_nothing_is_drawn_across_a_gap() -> None:
    """While there were no calls, the latency chart shows neither a line nor a shade; without a gap it is shaded."""

    async def latency_of(*starts_s: int) -> dict[str, Any]:
        world = make_world()
        for start_s in starts_s:
            await world.commit(calls(SeriesKey("any"), start_s, [0.1, 0.2]))
        return red_charts.latency((await take_snapshot(world.query, world.resources, View())).overall, "r")

    broken = await latency_of(NOW_S - 200, NOW_S - 20)
    assert not any("fill" in trace for trace in broken["data"])
    assert all(None in trace["y"] for trace in broken["data"])
    whole = await latency_of(NOW_S - 100)
    assert [("fill" in trace) for trace in whole["data"]] == [False, True, True]


async def test_all_services_are_compared_with_what_was_before(world: World) -> None:
    """The dashed lines of the charts are those of all together at the same time of yesterday."""
    await world.commit(*(calls(SeriesKey("then"), NOW_S - 86_400 - age, [0.2] * 9) for age in range(3, 300)))
    shown = answer_of(await take_snapshot(world.query, world.resources, View(), "day"))
    ghosts = {name: shown.figures[name]["data"][-1] for name in ("throughput", "latency", "errors")}
    assert [ghost["name"] for ghost in ghosts.values()] == ["yesterday", "P95 yesterday", "5xx yesterday"]
    assert set(ghosts["throughput"]["y"][5:-5]) == {9.0}
    assert set(ghosts["errors"]["y"][5:-5]) == {0.0}
    assert shown.filling["latency-subtitle"] == {"children": "dashed: yesterday"}
    cards = await take_snapshot(world.query, world.resources, View(), "day")
    assert [total.calls for total in cards.pair] == [9 * 297, cards.services.total.calls], "not the halves of the range"
    assert to_json(shown.filling["kpis"]).count("Against yesterday") == 7
    now = answer_of(await take_snapshot(world.query, world.resources, View()))
    assert len(now.figures["latency"]["data"]) == 3
