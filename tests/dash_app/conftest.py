"""Fixtures of the page tests: a served page, and a browser to look at it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from telemetry import RedPoint
from tests.support.browser import open_browser
from tests.support.dash_pages import ServedPage, Tab, served_page, watched_tab
from tests.support.model_traffic import traffic
from tests.support.query_world import NOW_S


@pytest.fixture(scope="session")
def model_points() -> list[RedPoint]:
    """Five and a half minutes of traffic up to now; incidents in the last hundred seconds."""
    return list(traffic(NOW_S - 330, NOW_S, NOW_S - 100))


@pytest_asyncio.fixture(loop_scope="module")
async def served(request: pytest.FixtureRequest) -> AsyncIterator[ServedPage]:
    """A page with nothing to show yet; its settings may be given as a parameter."""
    page = served_page(getattr(request, "param", None))
    await page.start()
    yield page
    page.query.gate.set()
    await page.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def busy(served: ServedPage, model_points: list[RedPoint]) -> ServedPage:
    """A page about fourteen services, three of them in trouble."""
    await served.publish(model_points)
    return served


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with open_browser() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def new_tab(browser: Browser) -> AsyncIterator[Any]:
    """A function that opens a tab; its options are those of a browser context."""
    contexts = []

    async def open_tab(**options: Any) -> Tab:
        context = await browser.new_context(
            **({"viewport": {"width": 1600, "height": 940}, "timezone_id": "UTC", "color_scheme": "dark"} | options)
        )
        contexts.append(context)
        return await watched_tab(context)

    yield open_tab
    for context in contexts:
        await context.close()
