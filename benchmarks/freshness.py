"""How long after its end a request is in the API's answer, in both sizes, almost idle and beside steady load.

Two kinds of requests at random moments: a single span that is exported the moment it ends, which is what ModelWatch
itself takes, and a request to a real model API under the instrumentation with its default export delay of 1 s, which is
what a user waits for. An observer asks /api/v1/services all the time; a request counts as seen when the answer that
counts it has arrived. Both services see their requests in order, so the k-th request is the k-th call.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import httpx

from benchmarks._load import Load, load_process
from benchmarks._requests import one_call
from benchmarks._systems import SIZES, Measured, Row, running, services_of
from tests.support.processes import start_watched_app
from tests.support.waiting import eventually

PROBES = 60
PAUSE_S = (0.1, 0.3)
STEADY_SPANS_PER_S = 500
STEADY_SERVICES = 10
ASK_EVERY_S = 0.02
SEEN_WITHIN_S = 10.0
WINDOW = "5m"
SPAN, APP = "probe-span", "probe-app"

Probe = Callable[[], Awaitable[float]]
"""Makes one request and returns when it ended, in Unix seconds."""


def run() -> list[Row]:
    """Return P50 and P95 of the delay in milliseconds."""
    return asyncio.run(_run())


async def _run() -> list[Row]:
    rows: list[Row] = []
    async with load_process() as load:
        for size in SIZES:
            async with running(size) as measured:
                if measured is not None:
                    rows += await _measure(size, measured, load)
    return rows


async def _measure(size: str, measured: Measured, load: Load) -> list[Row]:
    async with _app_probe(measured) as app_probe, httpx.AsyncClient() as client:
        probes = {SPAN: _span_probe(measured, client), APP: app_probe}
        # The first of each warm up; among them is the question by which the start waited for the application.
        await _delays_s(measured, {name: [probe] * 2 for name, probe in probes.items()})
        schedule = {name: [probe] * PROBES for name, probe in probes.items()}
        rows = _rows(f"{size}, almost idle", await _delays_s(measured, schedule))
        seconds = PROBES * sum(PAUSE_S) / 2 + 3
        steady = asyncio.create_task(
            load(
                "steady",
                port=measured.system.grpc_port,
                spans_per_s=STEADY_SPANS_PER_S,
                services=STEADY_SERVICES,
                seconds=seconds,
            )
        )
        await asyncio.sleep(1)
        rows += _rows(f"{size}, beside {STEADY_SPANS_PER_S} spans/s", await _delays_s(measured, schedule))
        await steady
        return rows


@dataclass
class _Observer:
    """Asks for the services until told to stop, and notes when each service's calls grew to what."""

    measured: Measured
    seen: dict[str, list[tuple[float, int]]] = field(default_factory=dict)
    is_done: bool = False

    async def watch(self) -> None:
        async with httpx.AsyncClient() as client:
            while not self.is_done:
                found = await services_of(client, self.measured.system, WINDOW)
                now_s = time.time()
                for service, item in found.items():
                    self.seen.setdefault(service, []).append((now_s, item["calls"]))
                await asyncio.sleep(ASK_EVERY_S)

    def calls(self, service: str) -> int:
        return self.seen[service][-1][1] if service in self.seen else 0

    def seen_at(self, service: str, calls: int) -> float:
        """Return when the first answer with so many calls arrived, in Unix seconds."""
        return next(at_s for at_s, count in self.seen[service] if count >= calls)


async def _delays_s(measured: Measured, schedule: dict[str, list[Probe]]) -> dict[str, list[float]]:
    """Make the requests of each service at random moments and return how long each took to be seen, in seconds."""
    before = {name: item["calls"] for name, item in (await measured.services(WINDOW)).items()}
    observer = _Observer(measured)
    watching = asyncio.create_task(observer.watch())
    try:
        series = await asyncio.gather(*(_make(probes, seed) for seed, probes in enumerate(schedule.values())))
        ended = dict(zip(schedule, series, strict=True))

        def all_are_seen() -> bool:
            return all(observer.calls(name) - before.get(name, 0) >= len(ends_s) for name, ends_s in ended.items())

        await eventually(lambda: watching.done() or all_are_seen(), timeout_s=SEEN_WITHIN_S, what=f"{ended} are seen")
    finally:
        observer.is_done = True
        await watching
    return {
        name: [
            observer.seen_at(name, before.get(name, 0) + number) - end_s for number, end_s in enumerate(ends_s, start=1)
        ]
        for name, ends_s in ended.items()
    }


async def _make(probes: list[Probe], seed: int) -> list[float]:
    pauses = random.Random(seed)
    ends_s = []
    for probe in probes:
        await asyncio.sleep(pauses.uniform(*PAUSE_S))
        ends_s.append(await probe())
    return ends_s


def _span_probe(measured: Measured, client: httpx.AsyncClient) -> Probe:
    url = f"http://127.0.0.1:{measured.system.http_port}/v1/traces"

    async def probe() -> float:
        end_ns = time.time_ns()
        headers = {"content-type": "application/x-protobuf"}
        (await client.post(url, content=one_call(SPAN, end_ns), headers=headers, timeout=20)).raise_for_status()
        return end_ns / 1e9

    return probe


@contextlib.asynccontextmanager
async def _app_probe(measured: Measured) -> AsyncIterator[Probe]:
    """Run a watched model API; its requests end, for this measurement, when the client has the answer."""
    endpoint = f"http://127.0.0.1:{measured.system.grpc_port}"
    log = measured.system.folder / f"{APP}.log"
    app, url = await start_watched_app("tests.support.model_api:app", APP, endpoint, log)
    try:

        async def was_asked() -> bool:
            return (await measured.services(WINDOW)).get(APP, {}).get("calls") == 1

        await eventually(was_asked, timeout_s=SEEN_WITHIN_S, what="the start's own question to the application is seen")
        async with httpx.AsyncClient() as client:

            async def probe() -> float:
                (await client.get(f"{url}/models/churn", timeout=20)).raise_for_status()
                return time.time()

            yield probe
    finally:
        await asyncio.to_thread(app.stop)


def _rows(situation: str, delays_s: dict[str, list[float]]) -> list[Row]:
    labels = {SPAN: "span exported at once", APP: "watched model API"}
    return [
        {
            "name": f"{situation}: {labels[name]}, P{percent}",
            "value": _nearest_rank(delays, percent) * 1e3,
            "unit": "ms",
        }
        for name, delays in delays_s.items()
        for percent in (50, 95)
    ]


def _nearest_rank(values: list[float], percent: int) -> float:
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]
