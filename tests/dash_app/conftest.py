"""Fixtures of the page tests: a served page, and a browser to look at it."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from typing import Any

import psutil
import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from telemetry import RedPoint
from tests.support import servers
from tests.support.dash_pages import ServedPage, Tab, served_page, watched_tab
from tests.support.model_traffic import traffic
from tests.support.query_world import NOW_S

_BROWSER_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


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
    program = os.environ.get("MODELWATCH_TEST_CHROMIUM") or next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    assert program, "no Chromium: apt-get install chromium, or set MODELWATCH_TEST_CHROMIUM"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=_BROWSER_OPTIONS)
        # A browser starts and ends helpers as it likes; they are not what a test left behind.
        helpers = {child.pid for child in psutil.Process().children() if child.name().startswith("node")}
        servers.RUNNING_PIDS.update(helpers)
        yield browser
        await browser.close()
        servers.RUNNING_PIDS.difference_update(helpers)


@pytest_asyncio.fixture(loop_scope="module")
async def new_tab(browser: Browser) -> AsyncIterator[Any]:
    """A function that opens a tab; its options are those of a browser context."""
    contexts = []

    async def open_tab(**options: Any) -> Tab:
        context = await browser.new_context(
            **({"viewport": {"width": 1600, "height": 940}, "timezone_id": "UTC"} | options)
        )
        contexts.append(context)
        return await watched_tab(context)

    yield open_tab
    for context in contexts:
        await context.close()
