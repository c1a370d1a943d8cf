"""Every request of real, watched model APIs is counted once and timed right, in both sizes."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.support.otlp_tee import OtlpTee
from tests.support.processes import start_watched_app
from tests.support.systems import System
from tests.support.traffic import Account, send
from tests.support.waiting import eventually

APP = "tests.support.model_api:app"
REQUESTS = 300


@pytest.fixture
async def tee(system: System) -> AsyncIterator[OtlpTee]:
    """A relay before the receiver that notes the very spans that were accepted."""
    relay = OtlpTee(system.grpc_port)
    await relay.start()
    yield relay
    await relay.stop()


async def services(system: System) -> dict[str, dict[str, Any]]:
    """Return /api/v1/services by service name."""
    async with httpx.AsyncClient() as client:
        response = await client.get(f"{system.url}/api/v1/services", params={"window": "15m"}, timeout=20)
        response.raise_for_status()
        return {item["service"]: item for item in response.json()["items"]}


async def routes(system: System, service: str) -> dict[str, dict[str, Any]]:
    """Return the totals of /api/v1/red by route."""
    async with httpx.AsyncClient() as client:
        parameters = {"service": service, "group_by": "route", "start": int(time.time()) - 900, "step": "1m"}
        response = await client.get(f"{system.url}/api/v1/red", params=parameters, timeout=20)
        response.raise_for_status()
        return {item["labels"]["route"]: item for item in response.json()["items"]}


async def test_every_request_is_counted_once_with_its_outcome(system: System, tee: OtlpTee, tmp_path: Path) -> None:
    """Calls and errors per service and route are exactly those sent, percentiles within 1 % of the exported spans'."""
    endpoint = f"http://127.0.0.1:{tee.port}"
    http_endpoint = f"http://127.0.0.1:{system.http_port}"
    over_http = {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}
    account = Account()
    async with AsyncExitStack() as running:

        async def watched(service: str, name: str, at: str, variables: dict[str, str] | None = None) -> str:
            process, url = await start_watched_app(APP, service, at, tmp_path / f"{name}.log", variables)
            # In a thread: the relay must go on while the last spans are flushed.
            running.push_async_callback(asyncio.to_thread, process.stop)
            return url  # the start asked for /ready, a probe, which is in no figure

        fraud_1 = await watched("fraud", "fraud-1", endpoint)
        fraud_2 = await watched("fraud", "fraud-2", endpoint)
        churn = await watched("churn", "churn", endpoint)
        eta = await watched("eta", "eta", http_endpoint, over_http)
        await asyncio.gather(
            send(account, "fraud", [fraud_1, fraud_2], REQUESTS, seed=1),
            send(account, "churn", [churn], REQUESTS, seed=2),
            send(account, "eta", [eta], REQUESTS, seed=3),
        )

    async def all_are_there() -> bool:
        found = await services(system)
        sent = {name: account.of_service(name) for name in ("fraud", "churn", "eta")}
        assert {name: (item["calls"], item["errors"]) for name, item in found.items()} == sent
        return True

    await eventually(all_are_there, timeout_s=20)
    for service in ("fraud", "churn", "eta"):
        found = await routes(system, service)
        expected = {route: count for (name, route), count in account.calls.items() if name == service}
        assert {route: item["total"]["calls"] for route, item in found.items()} == expected
        errors = {route: count for (name, route), count in account.errors.items() if name == service and count}
        assert {route: item["total"]["errors"] for route, item in found.items() if item["total"]["errors"]} == errors
    await _assert_percentiles(system, tee)


async def _assert_percentiles(system: System, tee: OtlpTee) -> None:
    durations: defaultdict[str, list[int]] = defaultdict(list)
    for service, span in tee.spans():
        if not span.name.endswith("/ready"):
            durations[service].append(span.end_time_unix_nano - span.start_time_unix_nano)
    assert set(durations) == {"fraud", "churn"}
    found = await services(system)
    for service, samples in durations.items():
        assert len(samples) == found[service]["calls"]
        for name, share in (("p50_s", 0.5), ("p95_s", 0.95), ("p99_s", 0.99)):
            exact_s = float(np.quantile(np.array(samples), share, method="inverted_cdf")) / 1e9
            assert found[service][name] == pytest.approx(exact_s, rel=0.01), (service, name)


async def test_history_survives_a_restart(embedded: System, tmp_path: Path) -> None:
    """Stopped and started again, the embedded system answers the same figures."""
    account = Account()
    endpoint = f"http://127.0.0.1:{embedded.grpc_port}"
    running, url = await start_watched_app(APP, "fraud", endpoint, tmp_path / "fraud.log")
    try:
        await send(account, "fraud", [url], 50, seed=4)
    finally:
        running.stop()

    async def counted() -> bool:
        item = (await services(embedded))["fraud"]
        return bool((item["calls"], item["errors"]) == account.of_service("fraud"))

    await eventually(counted, timeout_s=10)
    figures = ("calls", "errors", "p50_s", "p95_s", "p99_s")
    before = (await services(embedded))["fraud"]
    assert embedded.roles["up"].stop() == 0
    await embedded.start("up", "up")
    after = (await services(embedded))["fraud"]
    assert {name: before[name] for name in figures} == {name: after[name] for name in figures}
