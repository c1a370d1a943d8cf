"""What is drawn of the pipeline, without a browser: charts as they go to the browser, cards, notices, tables."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from dash._utils import to_json

from access.identity import Identity, NotAllowedError, Role, enter
from alerting.notification import Severity
from alerting.rules import Rule, Signal
from dash_app.marking import with_marks
from dash_app.pipeline import cards, dead_letters, figures, tables
from dash_app.pipeline import page as pipeline_page
from dash_app.pipeline.answer import answer_of
from dash_app.pipeline.dead_letters import ListedLetter
from dash_app.shared import palette
from dash_app.shared.alert_news import Episode
from dash_app.shell.page import Question
from dash_app.shell.view import View
from query.pipeline import PipelineAnswer, PipelineStep, ProcessStatus, SignalFlow, TierUse
from telemetry import ProcessReport

NOW_S = 1_700_000_000
STEPS = (
    PipelineStep(NOW_S - 30, 120.0, 118.0, 0.05, 3, 0.2, 0.4),
    PipelineStep(NOW_S - 20),
    PipelineStep(NOW_S - 10, 90.0, 95.0, 1.5, 40, 0.3, 2.5),
)
FLOW = SignalFlow("traces", 1_000, 990, 4, 3, 2, 0, 1, 0, 5, 0, 0, 0, "balanced")
REPORT = ProcessReport("p", "processor", "1.2", "höst<b>", 7, 1000 * (NOW_S - 60), 1000 * NOW_S, address="http://x")
GAUGES = {"canary_p50_s": 0.3, "canary_p95_s": 2.5, "storage_database_bytes": 4 * 2**20, "rabbit_dead_letters": 2}
TIERS = (TierUse("finest", 172_800, 2**20), TierUse("medium", 3_024_000, None))


def answer(**changed: Any) -> PipelineAnswer:
    status = ProcessStatus(REPORT, "well", 1.0)
    made = PipelineAnswer(NOW_S - 30, NOW_S, NOW_S - 30, 10, (FLOW,), (status,), STEPS, GAUGES, (), 1, TIERS)
    return replace(made, **changed)


def drawn(component: Any) -> str:
    """What goes to the browser, as text."""
    return str(to_json(component)).replace("\\u003c", "<").replace("\\u003e", ">")


def traces_of(figure: Any) -> list[tuple[str, list[int], list[float | None], str]]:
    return [(one["name"], list(one["x"]), list(one["y"]), one["line"]["color"]) for one in figure["data"]]


TIMES = [1000 * step.time_s for step in STEPS]


def test_items_are_drawn_as_they_were_received_and_stored() -> None:
    """Two lines per second, with a gap where nobody noted anything: a gap is not zero."""
    figure = figures.rate(answer(), "r")
    assert traces_of(figure) == [
        ("received", TIMES, [120.0, None, 90.0], palette.P95),
        ("stored", TIMES, [118.0, None, 95.0], palette.P50),
    ]
    assert all(not trace.get("connectgaps") for trace in figure["data"])
    assert figure["layout"]["uirevision"] == "r"


def test_freshness_is_drawn_beside_what_is_promised() -> None:
    """P50 and P95 in seconds, and two seconds as a dotted line over the whole range."""
    figure = figures.freshness(answer(), "r")
    assert traces_of(figure) == [
        ("P50", TIMES, [0.2, None, 0.3], palette.P50),
        ("P95", TIMES, [0.4, None, 2.5], palette.P95),
        ("promised", TIMES, [2.0, 2.0, 2.0], palette.SERVER_ERRORS),
    ]
    assert figure["data"][2]["line"]["dash"] == "dot"


def test_lag_is_drawn_and_an_empty_course_has_its_range() -> None:
    """Without any step the axis still spans what was asked for."""
    assert traces_of(figures.lag(answer(), "r")) == [("lag", TIMES, [0.05, None, 1.5], palette.P95)]
    empty = figures.lag(answer(steps=()), "r")
    assert empty["layout"]["xaxis"]["range"] == [1000 * (NOW_S - 30), 1000 * NOW_S]


class Pipeline:
    """A pipeline that is always the same."""

    async def pipeline(self, *asked: Any) -> PipelineAnswer:
        return answer()


class Behind:
    """News of one alert: the pipeline was behind."""

    async def rules(self) -> dict[str, Rule]:
        return {"behind": Rule(rule_id="behind", name="Behind", signal=Signal.PIPELINE_LAG, warning=30)}

    async def episodes(self, start_s: int, end_s: int) -> list[Episode]:
        return [Episode("behind", {}, Severity.WARNING, NOW_S - 25, NOW_S - 15)]


async def test_an_alert_that_the_pipeline_is_behind_is_marked_on_its_lag() -> None:
    """And on no other chart of the page."""
    pipeline: Any = Pipeline()
    news: Any = Behind()
    found = await with_marks(pipeline_page(pipeline), news).answer(Question(View(), {}))
    labels = {
        name: [shape["label"]["text"] for shape in figure["layout"].get("shapes", ()) if "label" in shape]
        for name, figure in found.figures.items()
    }
    assert labels == {"pipeline-rate": [], "pipeline-freshness": [], "pipeline-lag": ["Behind"]}


def test_what_is_amiss_is_said_with_what_to_do() -> None:
    """Each in a sentence; nothing where all is well."""
    silent = ProcessStatus(REPORT, "silent", 99.0)
    missing = replace(FLOW, balance="missing", unexplained=12)
    said = drawn(cards.notices(answer(processes=(silent,), flows=(missing,))))
    for words in (
        "12 traces were taken and not stored",
        "has not reported for 1",
        "behind at P95",
        "Dead letters wait",
    ):
        assert words in said
    assert cards.notices(answer(gauges={})) == []


def test_tables_hold_every_figure_and_names_are_text() -> None:
    """Also as rows of a file, unrounded; a name is never markup."""
    flows = drawn(tables.flows(answer()))
    assert "✓ comes out even" in flows
    assert json.dumps(json.dumps(["traces", "balanced", 0, 1000, 990, 4, 3, 2, 0, 1, 0, 0, 5]))[1:-1] in flows
    processes = drawn(tables.processes(answer()))
    assert "höst<b>" in processes
    storage = drawn(tables.storage(answer()))
    for words in ("2\u00a0d", "1.00\u00a0MiB", "25.0\u00a0%", "35\u00a0d", "3.00\u00a0MiB"):
        assert words in storage, words
    assert "No processor runs" in drawn(tables.storage(answer(tiers=())))


def test_a_time_of_which_nothing_was_noted_is_called_so() -> None:
    """In the place of the table, and over no time; that is not the same as that nothing came."""
    filled = answer_of(answer(flows=(), steps=()), View()).filling
    assert "Nothing was noted then" in drawn(filled["pipeline-flows"]["content"])
    assert filled["pipeline-since"] == {"children": ""}


def test_the_whole_answer_fills_what_the_skeleton_has() -> None:
    """Every id that is filled is in the layout, and every chart is drawn."""
    from dash_app.pipeline.layout import CHARTS, layout

    skeleton, filled = drawn(layout()), answer_of(answer(), View())
    assert set(filled.figures) == set(CHARTS)
    for name in (*filled.filling, *filled.figures):
        assert f'"id":"{name}"' in skeleton, name


class Desk:
    """Holds letters; sends one or all of them again."""

    def __init__(self) -> None:
        self.held = [ListedLetter(f"{number:032x}", "traces", None, 10, None, f"<b>{number}") for number in range(3)]

    async def letters(self, most: int) -> tuple[int, list[ListedLetter]]:
        return len(self.held), self.held[:most]

    async def replay(self, letter_id: str | None) -> int:
        before = len(self.held)
        self.held = [one for one in self.held if letter_id not in (None, one.letter_id)]
        return before - len(self.held)


async def test_dead_letters_are_sent_again_by_editors_alone() -> None:
    """A viewer may look; what a button says may be anything."""
    desk = Desk()
    viewer = enter(Identity("bob", Role.VIEWER, "session"))
    assert await dead_letters._act(desk, {"do": "look"}) == ""
    with pytest.raises(NotAllowedError):
        await dead_letters._act(desk, {"do": "replay"})
    viewer()
    assert (await dead_letters._act(desk, {"do": "replay", "id": f"{1:032x}"})).startswith("1 letter sent")
    assert (await dead_letters._act(desk, {"do": "replay", "id": {"x": 1}})).startswith("0 letters sent")
    assert [one.reason for one in desk.held] == ["<b>0", "<b>2"]
    listed = drawn(dead_letters.rows(7, desk.held))
    assert "and 5 more" in listed
    assert (await dead_letters._act(desk, {"do": "replay"})).startswith("2 letters sent")
    assert "There are no dead letters" in drawn(dead_letters.rows(0, []))
