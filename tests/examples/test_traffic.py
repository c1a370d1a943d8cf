"""The traffic generator as a process of its own against the real APIs."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from tests.examples.conftest import NAMES, REPOSITORY, ModelApi
from tests.examples.test_diabetes_regressor import PATIENT
from tests.support.ports import free_port
from tests.support.waiting import eventually

COUNT = re.compile(r"([\w-]+) × (\d+)")


@asynccontextmanager
async def running(model_apis: dict[str, ModelApi], *arguments: str) -> AsyncIterator[Process]:
    """Start the traffic against the APIs; it is killed if the test leaves it."""
    targets = [text for name, api in model_apis.items() for text in ("--target", f"{name}={api.url}")]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "examples.traffic", *targets, *arguments, cwd=REPOSITORY, stdout=PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def counts_in(output: str) -> dict[str, Counter[str]]:
    """Return what the last lines report, by API."""
    return {
        line.split(":")[0]: Counter({outcome: int(number) for outcome, number in COUNT.findall(line)})
        for line in output.splitlines()
        if " requests: " in line
    }


async def test_the_report_equals_what_the_apis_answered(model_apis: dict[str, ModelApi]) -> None:
    """Every status in the report was answered as often by the access log, but for what the end cut off."""
    before = {name: api.statuses() for name, api in model_apis.items()}
    async with running(model_apis, "--rate", "60", "--duration-s", "5", "--no-incidents") as process:
        output = (await process.communicate())[0].decode()
    assert process.returncode == 0
    reported = counts_in(output)
    assert reported.keys() == set(NAMES)
    for name, api in model_apis.items():
        logged = api.statuses() - before[name]
        assert set(reported[name]) <= {"200", "404", "422", "500", "503"}
        assert not reported[name] - logged
        assert (logged - reported[name]).total() <= 10
        assert reported[name]["200"] > 20
    assert 150 < sum(outcomes.total() for outcomes in reported.values()) < 600


async def test_sigterm_ends_it_at_once_with_a_report(model_apis: dict[str, ModelApi]) -> None:
    """While visits are under way, SIGTERM ends it within two seconds, with code 0 and the counts."""
    async with running(model_apis, "--skip-s", "190", "--rate", "60") as process:
        before = model_apis["digits-reader"].statuses().total()
        await eventually(lambda: model_apis["digits-reader"].statuses().total() > before + 20, timeout_s=20)
        process.send_signal(signal.SIGTERM)
        started_s = time.monotonic()
        output = (await process.communicate())[0].decode()
    assert time.monotonic() - started_s < 2
    assert process.returncode == 0
    assert counts_in(output)["digits-reader"]["200"] > 10


async def slow_reading(client: httpx.AsyncClient, model_apis: dict[str, ModelApi]) -> bool:
    started_s = time.monotonic()
    await client.get(f"{model_apis['digits-reader'].url}/scans/1/reading")
    return time.monotonic() - started_s > 0.9


async def failed_diagnosis(client: httpx.AsyncClient, model_apis: dict[str, ModelApi]) -> bool:
    answer = await client.get(f"{model_apis['tumour-classifier'].url}/patients/1/diagnosis")
    return answer.status_code in (500, 503)


async def slow_prediction(client: httpx.AsyncClient, model_apis: dict[str, ModelApi]) -> bool:
    started_s = time.monotonic()
    await client.post(f"{model_apis['diabetes-regressor'].url}/predict", json=PATIENT)
    return time.monotonic() - started_s > 0.6


@pytest.mark.usefixtures("healthy_stores")
@pytest.mark.parametrize(
    ("begins_s", "headline", "is_noticed"),
    [
        (20, "00:20 incident: digits-reader slow for 45 s", slow_reading),
        (70, "01:10 incident: tumour-classifier failing for 45 s", failed_diagnosis),
        (130, "02:10 incident: diabetes-regressor short of CPU for 85 s", slow_prediction),
    ],
)
async def test_an_incident_is_announced_and_visitors_notice_it(
    model_apis: dict[str, ModelApi],
    begins_s: int,
    headline: str,
    is_noticed: Callable[[httpx.AsyncClient, dict[str, ModelApi]], Awaitable[bool]],
) -> None:
    """The announcement comes when the schedule says so, and then an ordinary visitor is served badly."""
    async with running(model_apis, "--skip-s", str(begins_s), "--rate", "15") as process:
        assert process.stdout is not None
        async with asyncio.timeout(20), httpx.AsyncClient(timeout=15, trust_env=False) as client:
            assert (await process.stdout.readline()).decode().startswith(headline)
            while not await is_noticed(client, model_apis):
                pass
        process.send_signal(signal.SIGTERM)
        await process.communicate()
        assert process.returncode == 0


async def test_apis_that_are_away_are_counted_and_not_fatal() -> None:
    """Against a port where nobody listens, the report counts what could not be reached, and says so of the incident."""
    nobody = ModelApi(f"http://127.0.0.1:{free_port()}", REPOSITORY, None)  # type: ignore[arg-type]
    async with running({"digits-reader": nobody}, "--skip-s", "20", "--duration-s", "2", "--rate", "30") as process:
        output = (await process.communicate())[0].decode()
    assert process.returncode == 0
    assert counts_in(output)["digits-reader"]["unreachable"] > 3
    assert "digits-reader did not answer: no incident" in output


@pytest.mark.parametrize(
    "arguments", [("--target", "nobody=http://127.0.0.1:1"), ("--rate", "0"), ("--duration-s", "x")]
)
async def test_mistaken_arguments_are_refused(arguments: tuple[str, str]) -> None:
    """An unknown API, a rate of nothing and a duration in words end it with code 2."""
    async with running({}, *arguments) as process:
        await process.communicate()
    assert process.returncode == 2
