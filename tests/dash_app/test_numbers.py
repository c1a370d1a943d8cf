"""The numbers of Service, Containers and Traces are the API's: cells are read, the API is asked about the same time.

Both ask `modelwatch up`, a real process that was sent requests and what containers use over OTLP. Overview is looked at
in `tests/end_to_end/test_page.py`, in both sizes.
"""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
import pytest_asyncio

from dash_app.shared import formatting
from tests.support.otlp import resource, server_span, trace_request
from tests.support.otlp_metrics import gauge, metric_request, number_point, total
from tests.support.systems import System, embedded_system
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROUTES = ("/predict", "/explain", "/items/{id}")
CALLS = 300


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """ModelWatch, which was sent what two services and their containers did in the last minute."""
    async with embedded_system(tmp_path_factory.mktemp("numbers")) as running:
        async with httpx.AsyncClient(headers={"Content-Type": "application/x-protobuf"}, timeout=30) as client:
            for number, name in enumerate(("churn", "fraud")):
                bodies = {"traces": _requests(number, name), "metrics": _container(number, name)}
                for signal, body in bodies.items():
                    url = f"http://127.0.0.1:{running.http_port}/v1/{signal}"
                    (await client.post(url, content=body)).raise_for_status()
        yield running


def _resource(number: int, name: str) -> Any:
    return resource(name, service__version="1.2", container__id=f"{number + 1:064x}", container__name=f"{name}-1")


def _requests(number: int, name: str) -> bytes:
    chance = random.Random(number)
    now_ns = time.time_ns()
    spans = [
        server_span(
            route=chance.choice(ROUTES),
            status_code=chance.choices((200, 404, 503), (90, 6, 4))[0],
            duration_ns=int(chance.lognormvariate(3, 1) * 1e6),
            end_ns=now_ns - chance.randrange(10**9 * 15, 10**9 * 60),
            index=index,
            trace_id=(1_000 * (number + 1) + index).to_bytes(16, "big"),
        )
        for index in range(CALLS)
    ]
    return trace_request(spans, _resource(number, name)).SerializeToString()


def _container(number: int, name: str) -> bytes:
    cpu, memory = [], []
    for age_s in range(120, 0, -5):
        for points, value in ((cpu, 5_000.0 - age_s * (0.3 + number)), (memory, 2e8 + 1e6 * age_s * (number + 1))):
            point = number_point(value)
            point.time_unix_nano = time.time_ns() - 10**9 * age_s
            points.append(point)
    metrics = [total(*cpu, name="container.cpu.time"), gauge(*memory, name="container.memory.working_set")]
    return metric_request(metrics, _resource(number, name)).SerializeToString()


async def _ask(system: System, path: str, **parameters: object) -> Any:
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{system.url}/api/v1/{path}", params=parameters, timeout=30)  # type: ignore[arg-type]
    answer.raise_for_status()
    return answer.json()


def _times() -> dict[str, str]:
    """Return a range that is over, in whole tens of seconds, which holds everything that was sent."""
    end_s = int(time.time()) // 10 * 10 - 10
    moments = {"from": end_s - 120, "to": end_s}
    return {name: datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for name, at in moments.items()}


async def _cells(tab: Any, table: str) -> dict[str, dict[str, str]]:
    """The table as text, by name and column."""
    rows = await tab.page.eval_on_selector_all(
        f"#{table} .ag-center-cols-container .ag-row",
        """rows => rows.map(row => [row.querySelector('.service-name').textContent, Object.fromEntries(
            [...row.querySelectorAll('.ag-cell')].map(cell => [cell.getAttribute('col-id'), cell.textContent]))])""",
    )
    return dict(rows)


async def test_numbers_of_a_service_are_the_apis(system: System, new_tab: Any) -> None:
    """The cards, and every route with its rate, percentiles and errors."""
    times = _times()
    tab = await new_tab()
    await tab.open(f"{system.url}/service?{urlencode({'name': 'fraud', **times})}")
    await tab.until("#page.is-past")
    asked = {"service": "fraud", "start": times["from"], "end": times["to"], "step": "10s"}

    async def is_the_same() -> bool:
        routes = (await _ask(system, "red", group_by="route", **asked))["items"]
        (overall,) = (await _ask(system, "red", group_by="service", **asked))["items"]
        cells = await _cells(tab, "service-breakdown")
        assert set(cells) == {item["labels"]["route"] for item in routes} == set(ROUTES)
        for item in routes:
            shown, told = cells[item["labels"]["route"]], item["total"]
            assert shown["rate"] == formatting.rate(told["rate_per_s"]).number
            assert shown["errors"] == formatting.percent(told["error_rate"]).number
            for percentile in ("p50", "p95", "p99"):
                assert shown[percentile] == formatting.duration(told[f"{percentile}_s"]).text
        told = overall["total"]
        assert await tab.text("[data-kpi=requests] .kpi-number") == formatting.rate(told["rate_per_s"]).number
        assert await tab.text("[data-kpi=p95] .kpi-number") == formatting.duration(told["p95_s"]).number
        assert await tab.text("[data-kpi=error-rate] .kpi-number") == formatting.percent(told["error_rate"]).number
        return bool(told["calls"])

    await eventually(is_the_same, timeout_s=30, interval_s=0.5)
    assert tab.complaints == []


async def test_numbers_of_containers_are_the_apis(system: System, new_tab: Any) -> None:
    """CPU and memory of each, and whose it is."""
    tab = await new_tab()
    await tab.open(f"{system.url}/containers")
    await tab.until("#containers-table .ag-center-cols-container .ag-row")

    async def is_the_same() -> bool:
        told = {item["name"]: item for item in (await _ask(system, "resources", window="5m"))["items"]}
        cells = await _cells(tab, "containers-table")
        assert {"churn-1", "fraud-1"} <= set(cells)
        for name in ("churn-1", "fraud-1"):
            now = told[name]["now"]
            assert cells[name]["cpu"] == formatting.significant(now["cpu_cores"])
            assert cells[name]["memory"] == formatting.size(now["memory_bytes"]).text
            assert cells[name]["owner"] == told[name]["service"] == name.removesuffix("-1")
        return True

    await eventually(is_the_same, timeout_s=30, interval_s=0.5)
    assert tab.complaints == []


async def test_requests_on_the_page_are_the_apis(system: System, new_tab: Any) -> None:
    """The longest first, with their durations and outcomes, and how many of how many were kept."""
    times = _times()
    tab = await new_tab()
    await tab.open(f"{system.url}/traces?{urlencode({'name': 'churn', 'sort': 'duration', **times})}")
    await tab.until(".trace-row .row-link")
    told = await _ask(
        system, "traces", service="churn", start=times["from"], end=times["to"], order="duration", limit=100
    )
    rows = await tab.page.eval_on_selector_all(
        ".trace-row",
        """rows => rows.map(row => [new URL(row.querySelector('a').href).searchParams.get('trace'),
            row.querySelector('.row-value').textContent, row.querySelector('.flag').textContent])""",
    )
    assert rows == [
        [item["trace_id"], formatting.duration(item["duration_s"]).text, str(item["status_code"])]
        for item in told["items"]
    ]
    assert rows
    kept, calls = told["count"]["kept"], told["count"]["calls"]
    assert calls == CALLS
    assert await tab.text("#traces-kept") == f"kept {kept} of {calls} requests"
    assert tab.complaints == []
