"""The resources of a service below its traffic: what is drawn of them with no browser, and the page in one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dash_app.service import resource_card, resource_figures
from dash_app.service.answer import answer_of
from dash_app.service.snapshot import ServiceView, take_snapshot
from dash_app.shared import formatting
from dash_app.shell.view import RANGES, View
from query import ServiceResources, StorageUnavailableError
from telemetry import RedPoint
from tests.support.dash_pages import ServedPage, Tab
from tests.support.query_world import NOW_S, World, make_world
from tests.support.resource_traffic import MIB, fleet, instances
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHURN = "churn-xgb"


async def fill(world: World, points: list[RedPoint], length_s: int = 600) -> None:
    await world.commit(*points)
    await world.history.commit([], [], list(fleet(NOW_S - length_s, NOW_S)))
    world.history.seen_instances = instances(NOW_S)


async def asked(world: World, service: str, length_s: int = 300) -> ServiceResources:
    """What the page asks: up to the settled second, in the pace of resources."""
    end_s = world.query.settled_end_s() // 5 * 5
    return await world.resources.service(service, end_s - length_s, end_s, RANGES["5m"].series_step_s)


def words_of(part: Any) -> str:
    """All text in components."""
    if isinstance(part, list | tuple):
        return " ".join(filter(None, map(words_of, part)))
    children = getattr(part, "children", None)
    return part if isinstance(part, str) else words_of(children) if children is not None else ""


async def test_charts_have_the_axis_of_the_traffic(model_points: list[RedPoint]) -> None:
    """Every step of the answer is a point, and the range of time is that of the charts above."""
    world = make_world()
    await fill(world, model_points)
    drawn = answer_of(await take_snapshot(world.query, world.resources, ServiceView(View(), CHURN))).figures
    axes = {name: figure["layout"]["xaxis"]["range"] for name, figure in drawn.items() if name != "service-heatmap"}
    for name in ("efficiency", "cpu", "throttling", "memory"):
        assert axes[f"service-{name}"] == axes["service-throughput"]
    answer = await asked(world, CHURN)
    throttled, p99 = drawn["service-throttling"]["data"]
    assert throttled["y"] == [round(100 * (step.usage.throttled_share or 0), 6) for step in answer.steps]
    assert p99["y"] == [None if step.p99_s is None else round(step.p99_s, 6) for step in answer.steps]
    assert p99["yaxis"] == "y2"
    assert drawn["service-throttling"]["layout"]["yaxis2"]["overlaying"] == "y"
    cpu, limit = drawn["service-cpu"]["data"]
    assert (cpu["name"], limit["name"], set(limit["y"])) == ("churn-1", "limit", {2.0})
    assert cpu["y"] == [round(step.cpu_cores or 0, 10) for step in answer.resources[0].steps]
    served = drawn["service-efficiency"]["data"][0]
    assert served["y"][-1] is None, "the step that runs is not over"
    assert all(value > 0 for value in served["y"][:-1])
    assert json.loads(json.dumps(drawn)) == drawn


async def test_a_figure_is_drawn_as_it_was() -> None:
    """The chart of throttling against P99, in full."""
    world = make_world()
    await fill(world, [])
    answer = await asked(world, CHURN, 20)
    figure = resource_figures.throttling(replace(answer, steps=answer.steps[:2]), "r")
    times = [1_000 * step.time_s for step in answer.steps[:2]]
    assert [{key: trace[key] for key in ("name", "x", "y", "hovertemplate")} for trace in figure["data"]] == [
        {"name": "throttled", "x": times, "y": [30.0, 30.0], "hovertemplate": "%{y} %"},
        {"name": "P99", "x": times, "y": [None, None], "hovertemplate": "%{y}s"},
    ]
    assert figure["data"][0]["line"] == {"color": resource_figures.THROTTLED, "width": 1.6}
    assert figure["layout"]["yaxis"]["ticksuffix"] == "%"
    assert figure["layout"]["yaxis2"]["ticksuffix"] == "s"
    assert figure["layout"]["margin"]["r"] == figure["layout"]["margin"]["l"]


async def test_memory_stands_against_its_limit_with_the_time_left() -> None:
    """At the slope of the last hour; a time that is over has none."""
    world = make_world()
    await fill(world, [], 3_700)
    answer = await asked(world, "doc-ocr")
    left_s = answer.memory_left_s
    assert left_s is not None
    now = words_of(resource_card.cards(answer, is_now=True)[-1])
    assert f"{formatting.age(left_s)} left" in now
    assert "of its limit" in now
    assert "left" not in words_of(resource_card.cards(answer, is_now=False)[-1])
    memory, limit = resource_card.charts_of(answer, (0, 1), "r")["service-memory"]["data"]
    assert memory["y"] == [round((one.memory_bytes or 0) / 2**30, 10) for one in answer.resources[0].steps]
    assert set(limit["y"]) == {1.0}
    assert answer.resources[0].steps[-1].memory_bytes == pytest.approx(500 * MIB + 0.06 * MIB * 3_690)


async def test_each_process_has_its_row_and_no_quota_is_said_so() -> None:
    """Workers are told apart; their common limit is one line."""
    world = make_world()
    await fill(world, [])
    answer = await asked(world, "price-model")
    rows = resource_card.rows(answer, is_now=True)
    assert [(row["name"], row["path"], row["link"]) for row in rows] == [
        ("gunicorn 4100", "/containers", {"resource": "process:node-1:4100"}),
        ("gunicorn 4101", "/containers", {"resource": "process:node-1:4101"}),
    ]
    assert [row["matched"] for row in rows] == ["process.pid", "process.pid"]
    assert "no CPU quota" in words_of(resource_card.cards(answer, is_now=True)[2])
    drawn = resource_card.charts_of(answer, (0, 1), "r")
    assert [trace["name"] for trace in drawn["service-cpu"]["data"]] == [
        "gunicorn 4100",
        "gunicorn 4101",
        "limit of each",
    ]
    facts = resource_card.filling_of(answer, "the last 5 minutes", is_now=True)["service-resources-facts"]
    assert facts == {"children": "2 processes"}


async def test_without_resources_it_is_said_what_to_do(model_points: list[RedPoint]) -> None:
    """With the page that tells more; and the charts of traffic are there all the same."""
    world = make_world()
    await world.commit(*model_points)
    answer = answer_of(await take_snapshot(world.query, world.resources, ServiceView(View(), CHURN)))
    said = words_of(answer.filling["service-resources-none"]["children"])
    assert "modelwatch containers" in said
    assert "docs/containers.md" in said
    assert answer.filling["service-resources"] == {"hidden": True}
    assert "service-cpu" not in answer.figures
    assert "service-throughput" in answer.figures


async def test_what_is_not_answered_takes_nothing_from_the_rest(model_points: list[RedPoint]) -> None:
    """The traffic is shown, and that resources are not there yet."""
    world = make_world()
    await fill(world, model_points)

    async def fail(*_: object) -> None:
        raise StorageUnavailableError("the history does not answer")

    world.history.read_metrics = fail  # type: ignore[assignment, method-assign]
    answer = answer_of(await take_snapshot(world.query, world.resources, ServiceView(View(), CHURN)))
    assert answer.filling["service-resources-facts"] == {"children": resource_card.NOT_ANSWERED}
    assert answer.filling["service-title"]["children"] == CHURN


async def test_another_environment_has_its_own(model_points: list[RedPoint]) -> None:
    """What runs elsewhere is not shown."""
    world = make_world()
    await fill(world, model_points)
    end_s = world.query.settled_end_s() // 5 * 5
    here = await world.resources.service(CHURN, end_s - 300, end_s, 10, "prod")
    elsewhere = await world.resources.service(CHURN, end_s - 300, end_s, 10, "staging")
    assert [one.identity.name for one in here.resources] == ["churn-1"]
    assert elsewhere.resources == ()


async def until_drawn(tab: Tab) -> None:
    await tab.until("#service-instances .ag-center-cols-container .ag-row")
    for name in ("efficiency", "cpu", "throttling", "memory"):
        await tab.until(f"#service-{name} .lines path")


_CUT_NAMES = """() => [...document.querySelectorAll('.legend-entry.is-short .legend-name > span')]
    .filter(name => name.scrollWidth > name.clientWidth || name.getBoundingClientRect().left
        < name.closest('.legend').getBoundingClientRect().left).map(name => name.textContent)"""
"""Those of legends that are not seen as a whole."""

_UNUSED_PX = """() => {
    const width = selector => document.querySelector('#service-breakdown ' + selector).getBoundingClientRect().width;
    return width('.ag-center-cols-viewport') - width('.ag-row');
}"""


async def test_the_page_shows_what_was_answered(
    served: ServedPage, new_tab: Any, artifacts: Path, model_points: list[RedPoint]
) -> None:
    """Cards, rows and charts, dark and light, on a phone too; a row leads to the page of containers."""
    await fill(served.world, model_points)
    tab = await new_tab()
    await tab.open(f"{served.url}service?name={CHURN}")
    await until_drawn(tab)
    answer = await asked(served.world, CHURN)
    served_per_s = formatting.significant(answer.calls_per_cpu_s or 0)
    assert await tab.text("[data-kpi=efficiency] .kpi-number") == served_per_s
    assert await tab.text("[data-kpi=cpu] .kpi-number") == formatting.significant(answer.now.cpu_cores or 0)
    assert await tab.text("[data-kpi=throttled] .kpi-number") == formatting.percent(answer.now.throttled_share).number
    assert await tab.text("[data-kpi=memory] .kpi-number") == formatting.size(answer.now.memory_bytes).number
    row = "#service-instances .ag-row:has-text('churn-1')"
    one = answer.resources[0]
    assert await tab.text(f"{row} [col-id=cpu_share]") == formatting.percent(one.now.cpu_share).text
    assert await tab.text(f"{row} [col-id=matched]") == "container.id"
    await tab.page.screenshot(path=artifacts / "service-resources-dark.png", full_page=True)
    await tab.page.set_viewport_size({"width": 1440, "height": 900})
    assert await tab.page.evaluate(_CUT_NAMES) == []
    async with tab.page.expect_download() as download:
        await tab.page.click(".card:has(#service-memory) .csv-button")
    head, first, *_ = (await (await download.value).path()).read_text("utf-8-sig").splitlines()
    assert head == "time,churn-1 (bytes),limit (bytes)"
    assert float(first.split(",")[1]) == pytest.approx(answer.resources[0].steps[0].memory_bytes, abs=1)
    buttons = await tab.page.locator(".csv-button").all()
    assert len(buttons) == 10
    for button in buttons:
        await button.click(trial=True, timeout=5_000)  # nothing of Plotly lies over it
    await tab.page.click("#scheme")
    await tab.until(":root[data-mantine-color-scheme=light]")
    await tab.page.screenshot(path=artifacts / "service-resources-light.png", full_page=True)
    await tab.page.click(f"{row} .service-name")
    await tab.until("#containers-chosen-name:text-is('churn-1')")
    assert tab.complaints == []
    phone = await new_tab(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    await phone.open(f"{served.url}service?name={CHURN}")
    await until_drawn(phone)
    await phone.until("#service-instances:not(:has([col-id=matched]))")
    assert await phone.page.evaluate(_UNUSED_PX) <= 1, "names have the room that numbers leave"
    assert await phone.page.evaluate("document.documentElement.scrollWidth") == 390
    await phone.page.screenshot(path=artifacts / "service-resources-phone.png", full_page=True)
    assert phone.complaints == []


async def test_the_page_says_what_to_do_without_any(busy: ServedPage, new_tab: Any, artifacts: Path) -> None:
    """In words, in place of empty charts; they come when resources do."""
    tab = await new_tab()
    await tab.open(f"{busy.url}service?name={CHURN}")
    await tab.until("#service-resources-none:has-text('modelwatch containers')")
    assert await tab.page.is_hidden("#service-resources")
    await tab.page.screenshot(path=artifacts / "service-resources-none.png", full_page=True)
    await fill(busy.world, [])
    busy.world.advance(30)
    await until_drawn(tab)
    await eventually(lambda: tab.page.is_hidden("#service-resources-none"), timeout_s=30)
    assert tab.complaints == []
