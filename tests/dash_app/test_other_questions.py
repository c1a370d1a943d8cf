"""Figures in a real browser that do not answer what is asked now: nobody takes them for an answer to it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from query import StorageUnavailableError
from tests.support.dash_pages import SETTINGS, ServedPage
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

REQUESTS = "[data-kpi=requests] .kpi-number"

_SESSION = """(() => {
    const send = window.fetch;
    const isRefused = (url) => window.isSessionOver && String(url).includes('_dash-update-component');
    const refusal = () => Promise.resolve(new Response('', {status: 401}));
    window.fetch = (...request) => isRefused(request[0]) ? refusal() : send(...request);
})()"""
"""Lets the server's answers be those to a reader whose session has ended, once the window says so."""


@pytest_asyncio.fixture(loop_scope="module")
async def tab(busy: ServedPage, new_tab: Any) -> AsyncIterator[Any]:
    """The overview of the last five minutes, filled."""
    opened = await new_tab()
    await opened.page.add_init_script(_SESSION)
    await opened.open(busy.url)
    await opened.until_filled()
    await opened.until("#page.is-live")
    yield opened
    assert opened.complaints == []


async def _choose(tab: Any, name: str) -> None:
    """Choose a range at the bar."""
    await tab.page.click(f"#range >> text={name}")


async def _turn(tab: Any, title: str) -> None:
    await tab.page.click(f".page-link:text-is('{title}')")
    await tab.until(f".place:not([data-left]) > #page-{title.lower()}")


async def test_page_that_is_back_shows_no_older_answer_for_one_that_failed(busy: ServedPage, tab: Any) -> None:
    """Another range was chosen meanwhile: its figures are hidden under the error, and its controls are there."""
    await _turn(tab, "Containers")
    await _choose(tab, "1h")
    busy.query.error = StorageUnavailableError("the range is too long")
    await _turn(tab, "Overview")
    await tab.until("#page.is-failed")
    await tab.page.wait_for_timeout(600)  # as long as another answer that fails may take
    assert not await tab.page.is_visible(REQUESTS)
    assert "figures" not in await tab.text("#notice")
    assert await tab.text("#clock") == ""
    assert await tab.page.is_visible("#service-filter")
    busy.query.error = None
    await tab.until_open("overview")
    assert await tab.page.is_visible(REQUESTS)
    assert (await tab.text("[data-kpi=requests] .kpi-note")).endswith("in 1h")


async def test_page_that_is_back_shows_no_older_answer_for_an_empty_one(busy: ServedPage, tab: Any) -> None:
    """What was left with figures of another range is blank after one without calls too, until there are new ones."""
    await _choose(tab, "15m")
    await tab.until("[data-kpi=requests] .kpi-note:has-text('in 15m')")
    await _turn(tab, "Containers")
    await _choose(tab, "5m")
    busy.world.advance(500)
    await _turn(tab, "Overview")
    await tab.until("#page.is-empty")
    await _turn(tab, "Containers")
    busy.query.gate.clear()
    await _turn(tab, "Overview")
    await tab.until("#page.is-loading")
    assert not await tab.page.is_visible(REQUESTS)
    busy.query.gate.set()
    await tab.until("#page.is-empty")


@pytest.mark.parametrize("served", [SETTINGS.model_copy(update={"answer_timeout_s": 1.5})], indirect=True)
async def test_figures_of_what_was_chosen_before_are_grey_named_and_not_live(busy: ServedPage, tab: Any) -> None:
    """On the page that is open: at once, for as long as there is no answer, and whatever the reason for that is."""
    clock = await tab.text("#clock")
    busy.query.gate.clear()
    await eventually(lambda: busy.query.held > 0)
    await tab.page.evaluate("modelwatch.address.go('/?range=15m&env=production')")
    await tab.until("#page.is-loading #place-overview[data-old]")
    assert await tab.text("#live-state") == "Loading"
    named = f"The figures are those of {clock}, and of what was chosen before: range 5m, environment not chosen."
    await tab.until("#page.is-loading > #notice:has-text('There is no answer yet.')")
    assert named in await tab.text("#notice")
    await tab.until("#page.is-behind")
    assert named in await tab.text("#notice")
    busy.query.error = StorageUnavailableError("the database does not answer")
    busy.query.gate.set()
    await tab.until("#page.is-failed")
    assert named in await tab.text("#notice")
    assert await tab.page.locator("#place-overview[data-old]").count() == 1
    await busy.stop()
    await tab.until("#page.is-cut-off")
    assert named in await tab.text("#notice")
    busy.query.error = None
    await tab.page.evaluate("modelwatch.address.go('/')")
    await busy.start()
    await tab.until("#page.is-live")
    await tab.until_open("overview")
    assert not await tab.page.is_visible("#notice")
    tab.complaints[:] = [line for line in tab.complaints if not re.search("ERR_CONNECTION|WebSocket", line)]


async def test_no_page_gets_the_charts_of_another(busy: ServedPage, tab: Any) -> None:
    """Also when "back" leads to another page and to another zone at once."""
    await _turn(tab, "Service")
    await tab.until("#service-list .problem")
    await _turn(tab, "Overview")
    await tab.until_filled()
    assert "latency" in await tab.page.evaluate("Object.keys(modelwatch.charts.figures())")
    there_again = """() => {
        ['/service?tz=utc', '/?tz=utc', '/service'].forEach(modelwatch.address.go);
        return Object.keys(modelwatch.charts.figures());
    }"""
    assert "latency" not in await tab.page.evaluate(there_again)


@pytest.mark.parametrize("served", [SETTINGS.model_copy(update={"is_push_enabled": False})], indirect=True)
async def test_a_page_names_its_own_time_when_the_session_has_ended(busy: ServedPage, tab: Any) -> None:
    """Pages that are turned to afterwards name theirs if they have figures, and none if not."""
    clock = await tab.text("#clock")
    await _turn(tab, "Service")
    await tab.until("#service-list .problem")
    busy.world.advance(20)
    await tab.until(f"#clock:not(:text-is('{clock}')):not(:empty)")
    later = await tab.text("#clock")
    await tab.page.evaluate("window.isSessionOver = true")
    await tab.until("#page.is-cut-off")
    assert f"The figures are those of {later}." in await tab.text("#notice")
    await _turn(tab, "Traces")
    await tab.until("#notice:not(:has-text('figures'))")
    assert await tab.text("#clock") == ""
    await _turn(tab, "Overview")
    await tab.until(f"#notice:has-text('The figures are those of {clock}.')")
    assert await tab.text("#clock") == clock
    await _choose(tab, "1h")
    await tab.until("#notice:has-text('of what was chosen before: range 5m.')")
