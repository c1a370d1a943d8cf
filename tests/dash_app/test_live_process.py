"""Open pages of `modelwatch up`, a real process: it is killed and comes back, and WebSockets are not to be had."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.support.otlp import resource, server_spans, trace_request
from tests.support.plain_proxy import PlainProxy
from tests.support.systems import System, embedded_system

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """ModelWatch, to which a service sends requests for as long as it is there."""
    async with embedded_system(tmp_path_factory.mktemp("live")) as running, _traffic(running):
        yield running


@contextlib.asynccontextmanager
async def _traffic(system: System) -> AsyncIterator[None]:
    sending = asyncio.create_task(_send_for_ever(system))
    try:
        yield
    finally:
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sending


async def _send_for_ever(system: System) -> None:
    async with httpx.AsyncClient(headers={"Content-Type": "application/x-protobuf"}, timeout=30) as client:
        while True:
            body = trace_request(server_spans(5, end_ns=time.time_ns()), resource("churn")).SerializeToString()
            with contextlib.suppress(httpx.TransportError):
                await client.post(f"http://127.0.0.1:{system.http_port}/v1/traces", content=body)
            await asyncio.sleep(0.3)


async def _metric(url: str, name: str) -> float:
    async with httpx.AsyncClient() as client:
        lines = (await client.get(f"{url}/metrics", timeout=30)).text.splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.split("{")[0].split(" ")[0] == name)


async def _until_clock_moves(tab: Any) -> None:
    before = await tab.text("#clock")
    await tab.until(f"#clock:not(:text-is('{before}')):not(:empty)")


@pytest.mark.left_behind_is_fine  # the process that comes back is that of the other tests
async def test_page_outlives_a_server_that_is_killed(system: System, new_tab: Any) -> None:
    """It says that it is cut off and keeps its figures, and is fed anew by itself when the process is back."""
    tab = await new_tab()
    await tab.open(system.url)
    await tab.until_filled()
    await tab.until("#page.is-live")
    await tab.page.fill("#service-filter", "chu")
    system.roles["up"].kill()
    await tab.until("#page.is-cut-off")
    assert await tab.text("#live-state") == "Cut off"
    assert "has not answered for" in await tab.text("#notice")
    assert await tab.text(".service-name") == "churn"
    await system.start("up", "up")
    await tab.until("#page.is-live")
    await _until_clock_moves(tab)
    assert await _metric(system.url, "modelwatch_pages_sent_updates_total") > 0
    assert await _metric(system.url, "modelwatch_pages_connections") == 1
    assert await tab.page.input_value("#service-filter") == "chu"
    known = ("ERR_CONNECTION", "WebSocket")
    assert not [line for line in tab.complaints if not any(words in line for words in known)]


async def test_page_is_live_behind_a_proxy_that_refuses_websockets(system: System, new_tab: Any) -> None:
    """It asks by HTTP, on every page that is opened; the clock moves, and nothing looks different."""
    async with PlainProxy(system.web_port) as proxy:
        tab = await new_tab()
        await tab.open(f"http://127.0.0.1:{proxy.port}/")
        await tab.until_filled()
        await tab.until("#page.is-live")
        await _until_clock_moves(tab)
        await tab.page.click(".services .service-name >> text=churn")
        await tab.until("#page-service #service-title:text-is('churn')")
        await tab.until("#page.is-live")
        await _until_clock_moves(tab)
        assert proxy.refused > 0
        assert await _metric(system.url, "modelwatch_pages_connections") == 0
        await tab.page.close()


async def test_page_asks_by_http_where_pushing_is_turned_off(new_tab: Any, tmp_path: Any) -> None:
    """No WebSocket is tried, so that nothing is complained about; the page is live all the same."""
    setting = {"MODELWATCH_DASH__IS_PUSH_ENABLED": "false"}
    async with embedded_system(tmp_path, **setting) as system, _traffic(system):
        tab = await new_tab()
        await tab.open(system.url)
        await tab.until_filled()
        await tab.until("#page.is-live")
        await _until_clock_moves(tab)
        async with httpx.AsyncClient() as client:
            assert "modelwatch_pages_connections" not in (await client.get(f"{system.url}/metrics", timeout=30)).text
        assert tab.complaints == []
