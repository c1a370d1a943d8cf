"""The page of containers in a real browser: what people see is what was answered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from dash_app.shared import formatting
from query import ResourcesAnswer
from tests.support.dash_pages import ServedPage
from tests.support.query_world import NOW_S
from tests.support.resource_traffic import HOSTILE, fleet, instances
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def publish(served: ServedPage, extra: int = 0) -> None:
    history = served.world.history
    await history.commit([], [], list(fleet(NOW_S - 600, NOW_S, extra)))
    history.seen_instances = instances(NOW_S)


@pytest_asyncio.fixture(loop_scope="module")
async def fleet_page(served: ServedPage) -> ServedPage:
    """A page about five containers and two processes."""
    await publish(served)
    return served


async def answer_of(served: ServedPage) -> ResourcesAnswer:
    resources = served.world.resources
    return await resources.resources(resources.end_s() - 300, resources.end_s(), 6)


async def cells_of(tab: Any) -> dict[str, dict[str, str]]:
    """The table as text, by name and column."""
    return dict(
        await tab.page.evaluate(
            """() => [...document.querySelectorAll('#containers-table .ag-row')].map(row => [
                row.querySelector('.service-name').textContent,
                Object.fromEntries([...row.querySelectorAll('.ag-cell')].map(
                    cell => [cell.getAttribute('col-id'), cell.textContent]))])"""
        )
    )


async def until_true(tab: Any, expression: str) -> None:
    """Wait for an expression of JavaScript; Playwright's own way would need `eval`, which pages may not use."""
    await eventually(lambda: tab.page.evaluate(expression), timeout_s=30, what=expression)


async def until_filled(tab: Any) -> None:
    await tab.until("#page.has-figures")
    await tab.until("#containers-table .ag-center-cols-container .ag-row")
    await tab.until("#containers-memory .lines path")


async def test_the_table_shows_what_was_answered(fleet_page: ServedPage, new_tab: Any, artifacts: Path) -> None:
    """Every figure of every container and process, live and stopped told apart; nothing is complained about."""
    tab = await new_tab()
    await tab.open(fleet_page.url + "containers")
    await until_filled(tab)
    answer, cells = await answer_of(fleet_page), await cells_of(tab)
    assert set(cells) == {one.identity.name for one in answer.items}
    for one in answer.items:
        shown = cells[one.identity.name]
        assert shown["cpu_share"] == formatting.percent(one.now.cpu_share).text
        assert shown["memory"] == formatting.size(one.now.memory_bytes).text
        assert shown["throttled"] == formatting.percent(one.now.throttled_share).text
        assert shown["owner"] == one.owner.service
    assert cells["churn-1"]["state"] == "Live"
    assert cells["churn-0"]["state"] == "Stopped"
    assert cells["churn-0"]["name"] == "churn-0exited · registry.example/churn"
    assert cells["churn-0"]["cpu"] == formatting.NOTHING
    assert await tab.text("[data-kpi=live] .kpi-number") == "6"
    assert await tab.text("[data-kpi=throttled] .kpi-number") == "1"
    assert await tab.page.title() != "1"
    await tab.page.screenshot(path=artifacts / "containers-dark.png")
    await tab.page.click("#scheme")
    await tab.until(":root[data-mantine-color-scheme=light]")
    await tab.page.screenshot(path=artifacts / "containers-light.png")
    assert tab.complaints == []
    assert tab.outside == []


async def test_one_is_chosen_and_shown_with_its_limits(fleet_page: ServedPage, new_tab: Any, artifacts: Path) -> None:
    """By its name, kept in the address; all are back with one click."""
    tab = await new_tab()
    await tab.open(fleet_page.url + "containers")
    await until_filled(tab)
    await tab.page.click("#containers-table .service:has-text('churn-1')")
    await tab.until("#containers-chosen:not([hidden])")
    assert await tab.text("#containers-chosen-name") == "churn-1"
    note = await tab.text("#containers-chosen-note")
    assert note.startswith("of churn-xgb, known by container.id; churn-1 used up its CPU quota of 2 cores in 30 %")
    assert "resource=container%3A000000000001" in tab.page.url
    await until_true(tab, "document.querySelector('#containers-cpu .js-plotly-plot').data.length === 2")
    await tab.page.screenshot(path=artifacts / "containers-one.png")
    await tab.page.click("#containers-chosen .link-button")
    await tab.until("#containers-chosen[hidden]")
    assert "resource" not in tab.page.url
    assert tab.complaints == []


async def test_rows_may_be_groups_which_lead_to_their_members(
    fleet_page: ServedPage, new_tab: Any, artifacts: Path
) -> None:
    """By image, project, service or host, added up; also those without a name."""
    tab = await new_tab()
    await tab.open(fleet_page.url + "containers?by=compose_project")
    await until_filled(tab)
    cells = await cells_of(tab)
    assert set(cells) == {"models", "risk", "(none)"}
    assert cells["models"]["name"] == "models3 resources, 1 not live"
    await tab.page.screenshot(path=artifacts / "containers-groups.png")
    await tab.page.fill("#containers-filter", "churn")
    await tab.until("#containers-table .ag-row:has-text('2 resources, 1 not live')")
    churn = next(one for one in (await answer_of(fleet_page)).items if one.identity.name == "churn-1")
    cells = await cells_of(tab)
    assert set(cells) == {"models"}
    assert cells["models"]["memory"] == formatting.size(churn.now.memory_bytes).text, "of those that are shown"
    await tab.page.fill("#containers-filter", "")
    await tab.until("#containers-table .service-name:text-is('(none)')")
    await tab.page.click("#containers-table .service:has-text('(none)')")
    await tab.until("#containers-table .service-name:text-is('gunicorn 4101')")
    assert set(await cells_of(tab)) == {HOSTILE, "gunicorn 4100", "gunicorn 4101"}
    assert await tab.text("#containers-chosen-name") == "compose project (none)"
    await tab.page.fill("#containers-filter", "guni")
    await until_true(tab, "document.querySelectorAll('#containers-table .ag-row').length === 2")
    assert tab.complaints == []


async def test_a_phone_shows_what_matters(fleet_page: ServedPage, new_tab: Any, artifacts: Path) -> None:
    """Nothing is wider than the screen."""
    tab = await new_tab(viewport={"width": 390, "height": 844})
    await tab.open(fleet_page.url + "containers")
    await until_filled(tab)
    await until_true(tab, "!document.querySelector('#containers-table [col-id=disk]')")
    assert await tab.page.evaluate("document.documentElement.scrollWidth") <= 390
    await tab.page.screenshot(path=artifacts / "containers-phone.png", full_page=True)


async def test_fifty_fit(served: ServedPage, new_tab: Any, artifacts: Path) -> None:
    """Each has its row, the busiest their lines."""
    await publish(served, extra=50)
    tab = await new_tab()
    await tab.open(served.url + "containers?range=15m")
    await until_filled(tab)
    await until_true(tab, "document.querySelectorAll('#containers-table .ag-row').length >= 57")
    await tab.page.screenshot(path=artifacts / "containers-full.png", full_page=True)
    assert tab.complaints == []


async def test_without_any_it_is_said_what_to_do(served: ServedPage, new_tab: Any, artifacts: Path) -> None:
    """In words, and not by an empty table."""
    tab = await new_tab()
    await tab.open(served.url + "containers")
    await tab.until("#page.is-empty")
    assert "modelwatch containers" in await tab.text("#empty-reason")
    await tab.page.screenshot(path=artifacts / "containers-empty.png")


async def test_bottlenecks_are_among_the_problems_of_overview(busy: ServedPage, new_tab: Any, artifacts: Path) -> None:
    """With their evidence, and in the row of the service."""
    await publish(busy)
    tab = await new_tab()
    await tab.open(busy.url)
    await tab.until_filled()
    await until_true(tab, "document.querySelector('#problems').textContent.includes('resource bottleneck')")
    problems = await tab.text("#problems")
    assert "churn-1 used up its CPU quota of 2 cores in 30 % of the periods of the last 5 minutes" in problems
    row = "#services .ag-row:has-text('churn-xgb') [col-id=resources]"
    assert await tab.page.inner_text(row) == "Throttled"
    await tab.page.screenshot(path=artifacts / "overview-bottlenecks.png")
    assert tab.complaints == []
