"""The page of traces: what is drawn of requests and of one trace, and how it looks in a real browser."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from dash.development.base_component import Component

from dash_app.shared import charts
from dash_app.shell.page import Question
from dash_app.shell.view import View
from dash_app.traces import figures, lists, waterfall
from dash_app.traces.answer import answer_of
from dash_app.traces.choice import choice_of
from dash_app.traces.snapshot import Snapshot
from query import TraceAnswer, TracesAnswer
from query.traces.answers import KeptCount
from query.traces.reading import request_of, spans_in_order
from telemetry import KeptSpan
from telemetry.kept_span import pack_detail
from tests.storage.test_kept_spans import kept_span
from tests.support.dash_pages import ServedPage
from tests.support.otlp import key_values
from tests.support.otlp import span as otlp_span
from tests.support.query_world import NOW_S

HOSTILE = "<img src=x onerror=alert(1)>\u202e"
TRACE = b"t" * 16


def trace_spans(now_s: int = NOW_S - 20) -> list[KeptSpan]:
    """A request that failed in its model, with a hostile name, whose caller is not kept."""
    detail = otlp_span("x", attributes={"note": HOSTILE, "shape": [1, 2]}, is_error=True)
    detail.status.message = "bad input"
    event = detail.events.add(name="exception", time_unix_nano=now_s * 10**9)
    event.attributes.extend(key_values({"exception.stacktrace": "Traceback\n  line", "exception.message": HOSTILE}))
    root = kept_span(
        1,
        trace_id=TRACE,
        end_ns=now_s * 10**9,
        duration_ns=400_000_000,
        parent_span_id=b"caller00",
        is_error=1,
        http_status_code=500,
        kept_as="error",
        service_name=HOSTILE,
    )
    step = kept_span(
        2,
        trace_id=TRACE,
        end_ns=now_s * 10**9 - 1,
        duration_ns=100_000_000,
        parent_span_id=root.span_id,
        span_kind="INTERNAL",
        name="predict churn",
        model_name="churn",
        detail=pack_detail(detail.SerializeToString()),
    )
    return [root, step]


def words(*parts: Any) -> str:
    """All text of components, in order."""
    found = []
    for part in parts:
        if isinstance(part, str):
            found.append(part)
        elif isinstance(part, Component):
            found.append(words(getattr(part, "children", None)))
        elif isinstance(part, list | tuple):
            found.append(words(*part))
    return " ".join(filter(None, found))


def saved_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_the_address_chooses_and_takes_nothing_unknown() -> None:
    """Durations with units, cursors of the order that is asked for, ids; all else is left out."""
    fields = {
        "name": "shop",
        "show": "errors",
        "min": "250ms",
        "max": "2s",
        "kind": "?",
        "after": "d.1.2",
        "trace": " ABC",
        "status": "9",
    }
    choice = choice_of(Question(View(), fields))
    assert (choice.where.service, choice.where.is_error) == ("shop", True)
    assert (choice.where.min_duration_s, choice.where.max_duration_s) == (0.25, 2.0)
    assert (choice.kind, choice.after, choice.where.status_class) == ("request", "", None)
    assert choice.trace == "0" * 32
    for text in ("nan", "inf", "-1", "", "x"):
        assert choice_of(Question(View(), {"min": text})).where.min_duration_s is None
        assert choice_of(Question(View(), {"max": text})).where.max_duration_s is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *(("0.5", 0.5), (".5", 0.5), ("2S", 2.0), ("250 ms", 0.25), ("1e-3", 0.001), ("0", 0.0)),
        *(("10us", 1e-5), ("10\u00b5s", 1e-5), ("10\u03bcs", 1e-5), ("5m", 300.0), ("1min", 60.0)),
    ],
)
def test_a_bound_is_read_in_its_unit(text: str, seconds: float) -> None:
    """From microseconds to minutes; without a unit in seconds."""
    choice = choice_of(Question(View(), {"min": text}))
    assert choice.where.min_duration_s == pytest.approx(seconds)
    assert choice.min_trouble == ""


@pytest.mark.parametrize("text", ["abc", "0,5", "-1", "NaN", "inf", "5 parsecs", "1e99", "1sm", "\u0665"])
def test_a_bound_that_cannot_be_read_is_told_at_its_field(text: str) -> None:
    """Also when it comes with a link; the list is one without it."""
    least, below = (choice_of(Question(View(), {field: text})) for field in ("min", "max"))
    for choice in (least, below):
        assert (choice.where.min_duration_s, choice.where.max_duration_s) == (None, None)
        filled = answer_of(Snapshot(choice, 300, TracesAnswer(0, 300, [], None, False, None, 0), None)).filling
        errors = [bool(filled[name]["error"]) for name in ("traces-min", "traces-max")]
        assert errors == [choice is least, choice is below]


@pytest.mark.parametrize(("bounds", "is_said"), [(("1s", "100ms"), True), (("", "0"), True), (("1ms", "1s"), False)])
def test_bounds_that_contradict_each_other_are_told(bounds: tuple[str, str], is_said: bool) -> None:
    """At the field and in the place of the list, for which a longer range would be no help."""
    choice = choice_of(Question(View(), dict(zip(("min", "max"), bounds, strict=True))))
    assert bool(choice.max_trouble) is is_said
    text = words(lists.rows(choice, TracesAnswer(0, 300, [], None, False, None, 0)))
    assert ("longer range" in text) is not is_said


def test_the_list_says_how_many_of_how_many() -> None:
    """Kept and counted stand beside each other, and a search that was cut short says so."""
    choice = choice_of(Question(View(), {}))
    count = KeptCount(0, 300, 10_000, True, 80_000)
    answer = TracesAnswer(0, 300, [request_of(one) for one in trace_spans()[:1]], "t.1.1.0.0", True, count, 0)
    assert lists.kept_words(choice, answer) == "kept more than 10,000 of 80,000 requests"
    assert "not come to the end" in words(lists.more(choice, answer))
    (row,) = lists.rows(choice, answer)
    text = words(row).replace("\u00a0", " ")
    assert all(part in text for part in ("400 ms", "500", "GET /items", "error"))


def test_a_trace_tells_its_gaps_and_shows_names_harmlessly() -> None:
    """The caller that is missing is told; what turns the direction of text is made visible."""
    spans = spans_in_order(trace_spans())
    answer = TraceAnswer(TRACE.hex(), spans, 2, [b"caller00".hex()])
    assert "not kept, or not sent" in words(waterfall.gaps(answer))
    text = words(waterfall.spans(answer))
    assert "bad input" in text
    assert "\u202e" not in text
    assert "[1, 2]" in text
    assert waterfall.gaps(TraceAnswer(TRACE.hex(), spans, 2, [])) == []


def test_lines_of_a_text_stay_lines() -> None:
    """Messages of exceptions often have several."""
    assert (
        waterfall._shown("Input X contains NaN.\n\nSee\tbelow\u202e") == "Input X contains NaN.\n\nSee\ufffdbelow\ufffd"
    )
    assert waterfall._shown("one") == "one"
    assert len(waterfall._shown("x\n" * 5_000).splitlines()) == 200


def test_the_chart_has_the_axis_of_what_is_listed() -> None:
    """The whole time where all are listed; where there are more, the time of those that are."""
    items = [request_of(kept_span(n, end_ns=(NOW_S + n) * 10**9)) for n in (1, 51)]

    def axis(cursor: str | None) -> list[int]:
        answer = TracesAnswer(NOW_S - 3_600, NOW_S + 60, items, cursor, False, None, 0)
        found: list[int] = figures.spread(answer, "r")["layout"]["xaxis"]["range"]
        return found

    assert axis(None) == [1_000 * (NOW_S - 3_600), 1_000 * (NOW_S + 60)]
    assert axis("t.1.1.0.0") == [1_000 * NOW_S, 1_000 * (NOW_S + 52)]


def test_bars_stay_within_the_axis() -> None:
    """Of any span the bar begins and ends between 0 and 100 per cent, also of one that took no time."""
    spans = [
        kept_span(n, trace_id=TRACE, end_ns=NOW_S * 10**9 + n, duration_ns=d) for n, d in ((1, 0), (2, 10**9), (3, 1))
    ]
    answer = TraceAnswer(TRACE.hex(), spans_in_order(spans), 3, [])
    for row in waterfall.spans(answer):
        style = row.children[0].children[1].children.style
        left, width = (float(style[name].removesuffix("%")) for name in ("marginLeft", "width"))
        assert 0 <= left <= 100
        assert 0 < width <= 100 - left + 0.001


_CUT_LABELS = """async () => {
  const graph = document.querySelector("#traces-spread .js-plotly-plot"), cut = [];
  const edge = graph.closest(".card").getBoundingClientRect().right;
  for (const [length, right] of %s) {
    for (const distance of [1, 200, 1_000, 30_000]) {
      const end = 1_700_000_000_000 + distance;
      await Plotly.relayout(graph, { "xaxis.range": [end - length, end], "margin.r": right });
      const labels = [...graph.querySelectorAll(".xtick text")].map((one) => one.getBoundingClientRect().right);
      if (Math.max(...labels) > edge) cut.push([length, right, distance, Math.max(...labels) - edge]);
    }
  }
  return cut;
}"""


@pytest.mark.asyncio(loop_scope="module")
async def test_requests_lead_to_their_trace_in_a_browser(served: ServedPage, new_tab: Any, artifacts: Path) -> None:
    """From the list to the waterfall and back, dark and narrow, with hostile names and nothing complained about."""
    await served.world.history.commit([], [], spans=[*trace_spans(), *(kept_span(n) for n in range(30, 60))])
    tab = await new_tab()
    await tab.open(served.url + "traces")
    await tab.until(".trace-row .row-link")
    assert len(await tab.page.query_selector_all(".trace-row")) == 31
    await tab.page.screenshot(path=artifacts / "traces-dark.png", full_page=True)
    lengths = (400, 3_000, 3_001, 7_000, 60_000, 180_000, 180_001, 3_600_000)
    margins = [[n, charts.framed([], [0, n], "r", {})["layout"]["margin"]["r"]] for n in lengths]
    cut = await tab.page.evaluate(_CUT_LABELS % margins)
    assert cut == [], "the last label of the axis is whole, however short the time"
    await tab.page.click(".trace-row .row-link >> nth=0")
    await tab.until(".span-row")
    assert TRACE.hex() in tab.page.url
    await tab.page.click(".span-line >> nth=1")
    await tab.until(".span-row[open] .span-facts")
    assert HOSTILE[:-1] in await tab.text(".span-row[open] .span-details")
    step = trace_spans()[1].span_id.hex()
    assert tab.page.url.endswith(f"span={step}"), "which spans are open is in the address"
    narrow = await new_tab(viewport={"width": 390, "height": 800}, color_scheme="light")
    await narrow.open(tab.page.url)
    await narrow.until(".span-row[open] .span-facts")
    assert len(await narrow.page.query_selector_all(".span-row[open]")) == 1
    await narrow.page.screenshot(path=artifacts / "trace-narrow.png", full_page=True)
    assert await narrow.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    await tab.page.focus(".span-row[open] summary")
    await tab.page.keyboard.press("Enter")
    await tab.until(".span-list:not(:has(.span-row[open]))")
    await tab.page.click(".trace-back a")
    await tab.until("#traces-found:not([hidden]) .trace-row")
    assert "span" not in tab.page.url
    await tab.page.fill("#traces-min", "abc")
    await tab.until("#traces-min[aria-invalid=true]")
    await tab.page.screenshot(path=artifacts / "traces-bound.png", full_page=True)
    await tab.page.fill("#traces-min", "1\u00b5s")
    await tab.until("#traces-min:not([aria-invalid=true])")
    async with tab.page.expect_download() as saving:
        await tab.page.click("[data-csv] >> nth=0", trial=True)
        await tab.page.click(".traces-head .csv-button")
    first, *rows = saved_rows(Path(await (await saving.value).path()))
    assert len(rows) == 30
    figures = {"trace_id": TRACE.hex(), "duration_s": "0.4", "status": "500", "is_error": "true"}
    assert figures.items() <= first.items()
    assert (first["service"], first["time"]) == (HOSTILE, "2023-11-14T22:13:00.000Z")
    assert tab.complaints == narrow.complaints == []
