"""What pages cost in a real browser, and how long their readers wait: Chromium before fifty services of eight series.

`modelwatch up` with five full minutes at one second and a day of history, called once a second in every series. Each
first paint is that of a browser that was just started, with nothing in its caches. Waiting ends when the charts of the
page are drawn and the browser has painted them. On a busy machine times are those of the machine; `chrt -r 1` before
the command gives them as if it had nothing else to do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from statistics import median
from typing import Any, Final

from playwright.async_api import Browser, CDPSession, Page

from benchmarks._full_window import full_system
from tests.support.browser import open_browser
from tests.support.systems import System

COLD_STARTS: Final = 5
SWITCHES: Final = 5
STRETCH_S: Final = 12.0
VIEWPORT: Final = {"width": 1_920, "height": 1_080}
SERVICE: Final = "model-07"
PAGES: Final = ("/service", "/containers", "/traces", "/alerts", "/pipeline", "/settings")

Row = dict[str, Any]

_SHOWN: Final = {
    "/": "#page-overview #latency .lines path",
    "/service": "#page-service #service-heatmap .heatmaplayer image",
    "/containers": "#page-containers",
    "/traces": "#page-traces #traces-rows > *",
    "/alerts": "#page-alerts",
    "/pipeline": "#page-pipeline #pipeline-flows tr",
    "/settings": "#page-settings table",
}
"""What is there when the page has been filled."""

_AFTER_PAINT: Final = "const painted = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));"
_UNTIL: Final = (
    _AFTER_PAINT
    + """
    const until = async (selector) => {
        const deadline = performance.now() + 30000;
        const isState = () => document.querySelector('#page.has-figures, #page.is-empty');
        while (!isState() || !document.querySelector(selector)) {
            if (performance.now() > deadline) throw new Error('never shown: ' + selector);
            await new Promise((next) => setTimeout(next, 4));
        }
        await painted();
    };"""
)
_SINCE_NAVIGATION: Final = "async (selector) => {" + _UNTIL + "await until(selector); return performance.now(); }"
_FIRST_PAINT: Final = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
_GO: Final = (
    "async ([address, selector]) => {"
    + _UNTIL
    + """
    const { modelwatch } = window;
    const { fill } = modelwatch;
    const filled = new Promise((done) => {
        modelwatch.fill = (answer) => {
            fill(answer);
            if (answer.page === modelwatch.address.current.page.name) done();
        };
    });
    const began = performance.now();
    modelwatch.address.go(address);
    await filled;
    modelwatch.fill = fill;
    await until(selector);
    return performance.now() - began;
}"""
)


def run() -> list[Row]:
    """Return milliseconds in the browser, and bytes of an update."""
    return asyncio.run(_run())


async def _run() -> list[Row]:
    async with full_system(has_day=True) as system:
        rows = await _cold_starts(system)
        async with open_browser() as browser:
            rows += await _updates(browser, system)
            rows += await _switches(browser, system)
            rows += await _day(browser, system)
        return rows


async def _opened(browser: Browser, url: str) -> Page:
    context = await browser.new_context(viewport=VIEWPORT)  # type: ignore[arg-type]
    page = await context.new_page()
    await page.goto(url, wait_until="commit")
    return page


async def _cold_starts(system: System) -> list[Row]:
    painted, filled = [], []
    for _ in range(COLD_STARTS):
        async with open_browser() as browser:
            page = await _opened(browser, system.url)
            await page.wait_for_load_state("domcontentloaded")
            filled.append(await page.evaluate(_SINCE_NAVIGATION, _SHOWN["/"]))
            painted.append(await page.evaluate(_FIRST_PAINT))
    return [
        _ms("Overview in a cold browser: first contentful paint", painted),
        _ms("Overview in a cold browser: all figures and charts", filled),
    ]


async def _updates(browser: Browser, system: System) -> list[Row]:
    """Measure the page's main thread and its WebSocket while figures arrive."""
    page = await _opened(browser, "about:blank")
    sizes: list[int] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: sizes.append(len(frame))))
    await page.goto(system.url)
    rows = []
    for name, address in (("Overview", "/"), ("Service", f"/service?name={SERVICE}")):
        shown = _SHOWN[address.split("?")[0]]
        await (page.evaluate(_SINCE_NAVIGATION, shown) if address == "/" else page.evaluate(_GO, [address, shown]))
        await asyncio.sleep(3.0)  # the first updates are whole
        session = await page.context.new_cdp_session(page)
        await session.send("Performance.enable", {"timeDomain": "threadTicks"})
        before, seen = await _seconds(session), len(sizes)
        await asyncio.sleep(STRETCH_S)
        after, updates = await _seconds(session), len(sizes) - seen
        await session.detach()
        rows += [
            {"name": f"{name}: main thread, an update", "value": 1_000 * (after - before) / updates, "unit": "ms"},
            {"name": f"{name}: updates", "value": updates / STRETCH_S, "unit": "/s"},
            {"name": f"{name}: an update", "value": sum(sizes[seen:]) / updates / 1_000, "unit": "KB"},
        ]
    await page.context.close()
    return rows


async def _seconds(session: CDPSession) -> float:
    metrics = (await session.send("Performance.getMetrics"))["metrics"]
    return float(next(one["value"] for one in metrics if one["name"] == "TaskDuration"))


async def _switches(browser: Browser, system: System) -> list[Row]:
    page = await _opened(browser, system.url)
    await page.wait_for_load_state("domcontentloaded")
    await page.evaluate(_SINCE_NAVIGATION, _SHOWN["/"])
    rows = []
    for path in PAGES:
        there, back = [], []
        address = f"{path}?name={SERVICE}" if path == "/service" else path
        for _ in range(SWITCHES):
            there.append(await page.evaluate(_GO, [address, _SHOWN[path]]))
            await asyncio.sleep(0.3)
            back.append(await page.evaluate(_GO, ["/", _SHOWN["/"]]))
            await asyncio.sleep(0.3)
        rows.append(_ms(f"Overview to {path[1:]}, the first time", there[:1]))
        rows.append(_ms(f"Overview to {path[1:]}, again", there[1:]))
        rows.append(_ms(f"{path[1:]} to Overview", back))
    await page.context.close()
    return rows


async def _day(browser: Browser, system: System) -> list[Row]:
    """Measure the last day of services that nobody looked at before, from the click."""
    page = await _opened(browser, system.url)
    await page.wait_for_load_state("domcontentloaded")
    await page.evaluate(_SINCE_NAVIGATION, _SHOWN["/"])
    found = []
    for number in range(SWITCHES):
        address = f"/service?range=24h&name=model-{10 + number}"
        found.append(await page.evaluate(_GO, [address, _SHOWN["/service"]]))
        await page.evaluate(_GO, ["/", _SHOWN["/"]])
    await page.context.close()
    return [_ms("24 h of a service at full width, the first time", found)]


def _ms(name: str, values: Sequence[float]) -> Row:
    print(f"    {name}: {', '.join(f'{value:.0f}' for value in sorted(values))} ms", flush=True)
    return {"name": name, "value": median(values), "unit": "ms"}
