"""Headless Chromium, as Debian ships it."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import AsyncIterator

import psutil
from playwright.async_api import Browser, async_playwright

from tests.support import servers
from tests.support.dash_pages import Tab, watched_tab

__all__ = ["Tab", "open_browser", "watched_tab"]

_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextlib.asynccontextmanager
async def open_browser() -> AsyncIterator[Browser]:
    """Start a browser; the error says what to install when there is none."""
    program = os.environ.get("MODELWATCH_TEST_CHROMIUM") or next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    assert program, "no Chromium: apt-get install chromium, or set MODELWATCH_TEST_CHROMIUM"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=_OPTIONS)
        # A browser starts and ends helpers as it likes; they are not what a test left behind.
        helpers = {child.pid for child in psutil.Process().children() if child.name().startswith("node")}
        servers.RUNNING_PIDS.update(helpers)
        try:
            yield browser
        finally:
            await browser.close()
            servers.RUNNING_PIDS.difference_update(helpers)
