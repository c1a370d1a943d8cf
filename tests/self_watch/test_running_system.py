"""A running ModelWatch watches itself: reports, flows and canary of both sizes, as page and API tell them."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.support.browser import open_browser
from tests.support.dash_pages import watched_tab
from tests.support.ports import free_port
from tests.support.processes import RunningProcess
from tests.support.systems import System, embedded_system
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

CANARY = {"MODELWATCH_SELF_WATCH__CANARY_IS_ENABLED": "true", "MODELWATCH_SELF_WATCH__CANARY_INTERVAL_S": "1"}


async def system_of(url: str) -> dict[str, Any]:
    async with httpx.AsyncClient(timeout=20) as client:
        response = await client.get(f"{url}/api/v1/pipeline")
        response.raise_for_status()
        found: dict[str, Any] = response.json()["system"]
        return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def watched(tmp_path_factory: Any) -> AsyncIterator[System]:
    """`modelwatch up` with a canary, in its second life."""
    async with embedded_system(tmp_path_factory.mktemp("watched"), **CANARY) as system:
        system.roles["up"].stop()
        await system.start("up", "up")
        yield system


async def test_the_canary_is_timed_and_in_no_figure(watched: System) -> None:
    """Seen within seconds, counted in the flows, and no service."""

    async def is_measured() -> bool:
        return (await system_of(watched.url))["flows"][0]["stored"] >= 3

    await eventually(is_measured, timeout_s=60, what="three canaries are stored")
    system = await system_of(watched.url)
    assert 0 < system["gauges"]["canary_p50_s"] <= system["gauges"]["canary_p95_s"]
    assert system["canary_lost"] == 0
    assert system["flows"][0]["balance"] in ("balanced", "in_flight")
    running, ended = system["processes"]
    assert (running["role"], running["state"], running["pid"]) == ("up", "well", watched.roles["up"].pid)
    assert (ended["role"], ended["state"]) == ("up", "ended")
    async with httpx.AsyncClient(timeout=20) as client:
        assert (await client.get(f"{watched.url}/api/v1/services")).json()["items"] == []
        everything = await client.get(f"{watched.url}/api/v1/red?span_kind=SERVER,CLIENT,INTERNAL,CONSUMER,PRODUCER")
        assert everything.json()["items"] == []
        assert (await client.get(f"{watched.url}/api/v1/traces")).json()["items"] == []


async def test_the_page_shows_what_the_api_says(watched: System, artifacts: Path) -> None:
    """Flows, processes and cards; nothing is complained about; a phone has no room beside it; restarts are seen."""
    async with open_browser() as browser:
        context = await browser.new_context(viewport={"width": 390, "height": 844})
        tab = await watched_tab(context)
        await tab.open(watched.url + "/pipeline")
        await tab.until("#pipeline-flows [data-flow=traces-received]")
        await tab.until("#pipeline-rate .js-plotly-plot")

        async def are_equal() -> bool:
            flow = (await system_of(watched.url))["flows"][0]
            shown = {name: await tab.text(f"[data-flow=traces-{name}]") for name in ("received", "stored", "in_flight")}
            return flow["stored"] > 0 and shown == {name: str(flow[name]) for name in shown}

        await eventually(are_equal, timeout_s=60, what="page and API say the same")
        rows = "rows => rows.map(row => row.cells[1].innerText)"
        states = await tab.page.eval_on_selector_all("[data-process=up]", rows)
        assert states == ["well", "ended"]
        assert await tab.page.evaluate("document.documentElement.scrollWidth") <= 390
        await tab.page.screenshot(path=artifacts / "pipeline-phone.png", full_page=True)
        assert tab.complaints == []
        assert tab.outside == []
        await context.close()


async def test_the_page_of_settings_shows_what_is_set(watched: System, artifacts: Path) -> None:
    """What was changed at first, all on demand, found by words; where it came from, and no secret."""
    async with open_browser() as browser:
        context = await browser.new_context(viewport={"width": 390, "height": 844})
        tab = await watched_tab(context)
        await tab.open(watched.url + "/settings")
        await tab.until("[data-setting='receiver.grpc_port']")
        row = await tab.text("[data-setting='receiver.grpc_port']")
        assert str(watched.grpc_port) in row
        assert "environment" in row
        assert "default: 4317" in row
        assert not await tab.page.query_selector("[data-setting='receiver.max_connections']")
        await tab.open(watched.url + "/settings?show=all&q=max_connections")
        await tab.until("[data-setting='receiver.max_connections']")
        assert not await tab.page.query_selector("[data-setting='receiver.grpc_port']")
        assert await tab.page.evaluate("document.documentElement.scrollWidth") <= 390
        await tab.page.screenshot(path=artifacts / "settings-phone.png", full_page=True)
        assert tab.complaints == []
        await context.close()


async def test_who_has_no_database_is_asked(tmp_path: Path) -> None:
    """A role that only answers for its health is on the page, and said to be silent once it is killed."""
    health = free_port()
    alone = {
        "MODELWATCH_CONTAINERS__ENGINE": "none",
        "MODELWATCH_CONTAINERS__ENDPOINT": f"http://127.0.0.1:{free_port()}",
        "MODELWATCH_HEALTH__PORT": str(health),
        "MODELWATCH_DATA_DIR": str(tmp_path),
    }
    asked = {"MODELWATCH_SELF_WATCH__ADDRESSES": f"http://127.0.0.1:{health}"}
    async with embedded_system(tmp_path, **asked) as system:
        command = [sys.executable, "-m", "modelwatch", "containers"]
        running = RunningProcess(command, alone, tmp_path / "containers.log")
        try:

            async def state_is(wanted: tuple[str, ...]) -> bool:
                found = (await system_of(system.url))["processes"]
                return any(one["role"] == "containers" and one["state"] in wanted for one in found)

            await eventually(lambda: state_is(("well", "failing")), timeout_s=60, what="it reports")
        finally:
            running.kill()
        await eventually(lambda: state_is(("silent",)), timeout_s=60, what="it is silent")
