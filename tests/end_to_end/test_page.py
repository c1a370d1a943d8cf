"""The page of a running system in a real browser: its numbers are the API's, and nothing leaves the machine."""

from __future__ import annotations

import asyncio
import random
import re
import time
from pathlib import Path
from typing import Any

import grpc
import httpx
import pika
import pytest
from pydantic import SecretStr

from rabbitmq import ConfirmedPublisher, Message, PublishLimits
from rabbitmq.settings import RabbitSettings
from telemetry.queues import EXCHANGE
from tests.end_to_end.conftest import System
from tests.support.browser import open_browser, watched_tab
from tests.support.otlp import resource, server_span, trace_request
from tests.support.otlp_tee import METHOD
from tests.support.waiting import eventually

SERVICES = {"fraud": 0.02, "churn": 0.2, "eta": 0.0}
"""Each service's share of requests that fail."""
UNITS_S = {"µs": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0}


async def export(system: System) -> None:
    """Send spans of three services that ended within the last minute and a half."""
    chance = random.Random(11)
    now_ns = time.time_ns()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{system.grpc_port}") as channel:
        for service, failing in SERVICES.items():
            spans = [
                server_span(
                    route=chance.choice(["/predict", "/explain"]),
                    status_code=500 if chance.random() < failing else 200,
                    duration_ns=int(chance.lognormvariate(3, 0.6) * 1e6),
                    end_ns=now_ns - chance.randrange(5_000_000_000, 90_000_000_000),
                    index=index,
                )
                for index in range(400)
            ]
            body = trace_request(spans, resource(service, service__version="1.2.0")).SerializeToString()
            await channel.unary_unary(METHOD)(body, timeout=10)


async def api_figures(system: System) -> dict[str, dict[str, Any]]:
    """Return /api/v1/services over the page's default range, by service."""
    async with httpx.AsyncClient() as client:
        response = await client.get(f"{system.url}/api/v1/services", params={"window": "5m"}, timeout=20)
        return {item["service"]: item for item in response.json()["items"]}


async def page_figures(page: Any) -> dict[str, dict[str, str]]:
    """Return the texts of the services table by service and column."""
    rows = await page.eval_on_selector_all(
        ".ag-row",
        """rows => rows.map(row => [row.getAttribute('row-id'), Object.fromEntries(
            [...row.querySelectorAll('.ag-cell')].map(cell => [cell.getAttribute('col-id'), cell.innerText.trim()])
        )])""",
    )
    figures: dict[str, dict[str, str]] = {}
    for service, cells in rows:
        figures.setdefault(service, {}).update(cells)
    return figures


def seconds(text: str) -> float:
    """Read a duration as the page writes it."""
    match = re.fullmatch(r"([\d.,]+)\s(µs|ms|s|min)", text)
    assert match, text
    return float(match[1].replace(",", "")) * UNITS_S[match[2]]


@pytest.mark.timeout(180)
async def test_the_page_shows_what_the_api_says(system: System, artifacts: Path) -> None:
    """Every figure of the table equals the API's to the digits shown; no complaint, no request to another host."""
    await export(system)

    async def all_are_counted() -> bool:
        found = await api_figures(system)
        return {name: item["calls"] for name, item in found.items()} == dict.fromkeys(SERVICES, 400)

    await eventually(all_are_counted, timeout_s=20)
    async with open_browser() as browser:
        context = await browser.new_context(viewport={"width": 1600, "height": 940})
        tab = await watched_tab(context)
        await tab.open(system.url)
        await tab.until(".ag-center-cols-container .ag-row")

        async def page_is_the_api() -> bool:
            asked, shown = await api_figures(system), await page_figures(tab.page)
            assert set(shown) == set(asked) == set(SERVICES)
            for service, item in asked.items():
                cells = shown[service]
                assert float(cells["rate"]) == pytest.approx(item["rate_per_s"], rel=0.01)
                assert float(cells["errors"]) == pytest.approx(100 * item["error_rate"], abs=0.051)
                for column in ("p50", "p95", "p99"):
                    assert seconds(cells[column]) == pytest.approx(item[f"{column}_s"], rel=0.006), (service, column)
            return True

        await eventually(page_is_the_api, timeout_s=20, interval_s=0.3)
        size = "embedded" if "up" in system.roles else "distributed"
        await tab.page.screenshot(path=artifacts / f"running-{size}.png")
        await asyncio.sleep(2.5)  # a page that goes on updating must stay without complaints as well
        await _check_pipeline(tab, system, artifacts)
        assert tab.complaints == []
        assert tab.outside == []


async def _check_dead_letters(tab: Any, system: System) -> None:
    """What no processor can store is listed with its reason at a press, and can be sent again."""
    url, limits = SecretStr(system.environment["MODELWATCH_BROKER_URL"]), PublishLimits(10, 10**6, 10)
    publisher = ConfirmedPublisher(url, RabbitSettings(), limits, name="tests")
    await publisher.start()
    properties = pika.BasicProperties(type="traces", content_type="application/x-protobuf")
    await publisher.publish(EXCHANGE, Message("traces", properties, b"\xff<b>no OTLP</b>"))
    await publisher.stop()
    await tab.until("[data-kpi=dead] .kpi-number:text-is('1')", 60)
    await tab.page.click("button:text-is('Look')")
    await tab.until("#pipeline-dead-list tr[data-csv] .dead-reason")
    assert await tab.text("#pipeline-dead-list .dead-reason")
    await tab.page.click("#pipeline-dead-list >> text=Send again")
    await tab.until("#pipeline-dead-outcome.is-good:has-text('1 letter sent again')")


async def _check_pipeline(tab: Any, system: System, artifacts: Path) -> None:
    """The page of the pipeline tells how every process is and what became of every item; processors take up changes."""
    await tab.open(f"{system.url}/pipeline")
    await tab.until("#pipeline-flows [data-flow=traces-received]")
    await tab.until("#pipeline-rate .js-plotly-plot")
    is_embedded = "up" in system.roles
    roles = ["up"] if is_embedded else ["dashboard", "processor", "processor", "receiver"]

    async def is_told() -> bool:
        flows, processes = "#pipeline-flows [data-flow]", "#pipeline-processes [data-process]"
        cells = await tab.page.eval_on_selector_all(flows, "all => all.map(one => [one.dataset.flow, one.innerText])")
        states = "all => all.map(one => [one.dataset.process, one.cells[1].innerText])"
        rows, shown = await tab.page.eval_on_selector_all(processes, states), dict(cells)
        is_counted = shown["traces-received"] == shown["traces-stored"] == f"{400 * len(SERVICES):,}"
        return is_counted and sorted(rows) == [[role, "well"] for role in roles]

    await eventually(is_told, timeout_s=60, what="all processes are well, and every span is stored")
    assert "comes out even" in await tab.text("#pipeline-flows tr:has([data-flow=traces-received])")
    await tab.until("#pipeline-storage [data-tier=rest]", 90)
    await tab.page.screenshot(
        path=artifacts / f"pipeline-{'embedded' if is_embedded else 'distributed'}.png", full_page=True
    )
    if not is_embedded:
        await _check_dead_letters(tab, system)
    async with httpx.AsyncClient(timeout=20) as client:
        path, value = "/api/v1/settings/storage.coarse_retention_s", {"value": 700 * 86_400}
        assert (await client.put(system.url + path, json=value)).status_code == 200
    await tab.until("#pipeline-storage [data-tier=coarse]:has-text('700 d')", 60)
