"""A real Prometheus scrapes ModelWatch, and its answers are those of the API."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from api.exposition.families import text_of
from api.figures import figure_families
from telemetry import Figures
from telemetry.counters import HELP
from tests.deploy.test_grafana import DASHBOARDS, expressions
from tests.support.otlp import resource, server_span, trace_request
from tests.support.ports import free_port
from tests.support.processes import RunningProcess, answers
from tests.support.systems import System, embedded_system
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECOND_NS = 10**9
CONFIG = """
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: modelwatch
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    async with embedded_system(tmp_path_factory.mktemp("scraped")) as running:
        await send(running, "shop", [200] * 8 + [500, 404])
        await send(running, 'a"b\\c\nd <img>', [200])
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def prometheus(system: System, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The address of a Prometheus that scrapes every second."""
    folder, port = tmp_path_factory.mktemp("prometheus"), free_port()
    (folder / "prometheus.yml").write_text(CONFIG.format(port=system.web_port))
    program = shutil.which("prometheus")
    assert program, "prometheus is not installed: install it (`make test` does on Debian as root)"
    running = RunningProcess(
        [
            program,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        {},
        folder / "prometheus.log",
    )
    try:
        url = f"http://127.0.0.1:{port}"
        await eventually(lambda: answers(f"{url}/-/ready"), timeout_s=40, what="Prometheus is ready")
        yield url
    finally:
        running.stop()


async def send(system: System, service: str, statuses: list[int]) -> None:
    end_ns = (time.time_ns() // SECOND_NS - 2) * SECOND_NS
    calls = [
        server_span(route="/buy", status_code=status, duration_ns=90_000_000, end_ns=end_ns, index=index)
        for index, status in enumerate(statuses)
    ]
    body = trace_request(calls, resource(service, service__version="1.2")).SerializeToString()
    async with httpx.AsyncClient() as client:
        answer = await client.post(
            f"http://127.0.0.1:{system.http_port}/v1/traces",
            content=body,
            headers={"content-type": "application/x-protobuf"},
        )
    assert answer.status_code == 200


async def ask(prometheus: str, promql: str) -> dict[str, float]:
    """Return the values by service."""
    async with httpx.AsyncClient() as client:
        answer = (await client.get(f"{prometheus}/api/v1/query", params={"query": promql})).json()
    assert answer["status"] == "success", answer
    return {one["metric"].get("service_name", ""): float(one["value"][1]) for one in answer["data"]["result"]}


async def test_prometheus_has_the_counts_of_the_api(system: System, prometheus: str) -> None:
    """Of every service, whatever its name; the target is up, and its scrape has no fault."""
    name = 'a"b\\c\nd <img>'

    async def counts() -> Any:
        return await ask(prometheus, "sum by (service_name) (modelwatch_request_duration_seconds_count)")

    await eventually(counts, timeout_s=30, what="something was scraped")
    assert await counts() == {"shop": 10, name: 1}
    assert await ask(prometheus, "sum by (service_name) (modelwatch_request_errors_total)") == {"shop": 1, name: 0}
    assert await ask(prometheus, "up") == {"": 1}
    p50 = "histogram_quantile(0.5, sum by (service_name, le) (modelwatch_request_duration_seconds_bucket))"
    assert 0.075 <= (await ask(prometheus, p50))["shop"] <= 0.1


async def test_prometheus_sees_what_comes(system: System, prometheus: str) -> None:
    """A rate over requests that come while it looks is that of those requests."""
    before = (await ask(prometheus, "sum by (service_name) (modelwatch_request_duration_seconds_count)"))["shop"]
    await send(system, "shop", [200] * 7)

    async def grown() -> bool:
        now = await ask(prometheus, "sum by (service_name) (modelwatch_request_duration_seconds_count)")
        return now["shop"] == before + 7

    await eventually(grown, timeout_s=20, what="seven more were scraped")
    assert (await ask(prometheus, "sum by (service_name) (resets(modelwatch_request_duration_seconds_count[5m]))"))[
        "shop"
    ] == 0


async def test_promtool_finds_no_fault(system: System) -> None:
    """Prometheus' own check can read all of it, and has nothing against any name."""
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{system.url}/metrics")
    assert await promtool(answer.content) == (0, "")


async def test_promtool_finds_no_fault_in_any_figure_of_any_role() -> None:
    """Also in those that nobody has told so far."""
    nothing: dict[Any, Any] = dict.fromkeys(((name, ()) for name in HELP), 0)
    for figures in (Figures(counters=nothing), Figures(gauges=nothing)):
        assert await promtool(text_of(figure_families(figures)).encode()) == (0, "")


async def promtool(text: bytes) -> tuple[int, str]:
    """Return what Prometheus' own check says."""
    command = ["promtool", "check", "metrics"]
    done = await asyncio.to_thread(subprocess.run, command, input=text, capture_output=True, check=False)
    return done.returncode, (done.stdout + done.stderr).decode()


@pytest.mark.parametrize("name", DASHBOARDS)
async def test_prometheus_understands_every_question_of_the_dashboards(prometheus: str, name: str) -> None:
    """With the variables of Grafana filled in as Grafana does."""
    for expression in expressions(DASHBOARDS[name]):
        if not expression.startswith("label_values"):
            for variable, value in (
                ("$__rate_interval", "1m"),
                ("$environment", ".*"),
                ("$service", ".*"),
                ("$host", ".*"),
            ):
                expression = expression.replace(variable, value)
            await ask(prometheus, expression)
