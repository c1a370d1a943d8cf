"""How many spans a second go all the way, from OTLP/gRPC to exact figures in the API, in both sizes.

Real processes on this machine, the load process among them: requests of 512 spans, as fast as they are acknowledged.
An acknowledged span is durable; a counted one is in the API's answer, which must be exact in the end. Each figure is
the median of several rounds, and the CPU time that the roles took for all of them says what a larger machine could do.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

from benchmarks._load import Load, load_process
from benchmarks._requests import typical
from benchmarks._systems import SIZES, Measured, Row, cpu_s, running
from processor.aggregation import aggregate
from processor.component import build_decoder
from processor.settings import ProcessorSettings
from tests.support.waiting import eventually

ROUNDS = 3
REQUESTS = 256  # of 512 spans in each round
ALONE = 20
IN_FLIGHT = 64
WITHIN_S = 3.0
EXACT_WITHIN_S = 60.0
STEADY_SPANS_PER_S = 500
STEADY_SERVICES = 10
STEADY_S = 5.0

Account = Counter[tuple[str, str]]


def run() -> list[Row]:
    """Return rates of acknowledged and counted spans, delays in seconds, and CPU time by role, for both sizes."""
    return asyncio.run(_run())


async def _run() -> list[Row]:
    alone_rate = _decoding_rate()
    rows = [_row("decode and aggregate alone, the same spans on one core", alone_rate, "spans/s")]
    async with load_process() as load:
        for size in SIZES:
            async with running(size) as measured:
                if measured is not None:
                    rows += await _measure(size, measured, load, alone_rate)
    return rows


async def _measure(size: str, measured: Measured, load: Load, alone_rate: float) -> list[Row]:
    sent: Account = Counter()
    # Spans from before the start would make every question one for the history.
    await asyncio.sleep(WITHIN_S + 2)
    await _round(measured, load, sent, IN_FLIGHT, IN_FLIGHT)  # to warm up
    processes = {**measured.roles, **measured.servers}
    before_s = {name: cpu_s(process) for name, process in processes.items()}
    rounds = [await _round(measured, load, sent, REQUESTS, IN_FLIGHT) for _ in range(ROUNDS)]
    used_s = {name: cpu_s(process) - before_s[name] for name, process in processes.items()}
    alone = await _round(measured, load, sent, ALONE, 1)
    await asyncio.sleep(1)
    await _assert_exact(measured, sent)  # nothing is added afterwards either
    steady = await _steady_share(measured, load)

    def middle(of: Callable[[Mapping[str, float]], float]) -> float:
        return median(map(of, rounds))

    counted = middle(lambda one: one["spans"] / one["counted_s"])
    spans = sum(one["spans"] for one in rounds)
    own_s = sum(used_s[name] for name in measured.roles)
    rows = [
        _row(f"{size}: acknowledged", middle(lambda one: one["spans"] / one["acknowledged_s"]), "spans/s"),
        _row(f"{size}: counted by the API", counted, "spans/s"),
        _row(f"{size}: counted / decode and aggregate alone", counted / alone_rate, "x"),
        _row(f"{size}: last OK to exact count", middle(lambda one: one["counted_s"] - one["acknowledged_s"]), "s"),
        _row(f"{size}: requests refused and sent again", sum(one["refused"] for one in rounds), ""),
        _row(f"{size}: one sender, one request at a time", alone["spans"] / alone["acknowledged_s"], "spans/s"),
        _row(f"{size}: spans per CPU second of ModelWatch", spans / own_s, "spans/CPU s"),
    ]
    if measured.servers:
        rows.append(_row(f"{size}: the same, servers included", spans / sum(used_s.values()), "spans/CPU s"))
    name = f"{size}: CPU of ModelWatch at {STEADY_SPANS_PER_S} spans/s from {STEADY_SERVICES} services"
    rows.append(_row(name, steady * 100, "% of a core"))
    return rows + [
        _row(f"{size}: CPU per million spans, {name}", seconds / spans * 1e6, "CPU s")
        for name, seconds in used_s.items()
    ]


async def _round(measured: Measured, load: Load, sent: Account, requests: int, in_flight: int) -> dict[str, float]:
    """Send requests and wait for the exact count; return spans, refusals, and the two times from the start in s."""
    await load("prepare", requests=requests, within_s=WITHIN_S)
    answer = await load("send", port=measured.system.grpc_port, in_flight=in_flight)
    acknowledged_at = time.perf_counter()
    spans = 0
    for service, (calls, errors) in answer["services"].items():
        sent[service, "calls"] += calls
        sent[service, "errors"] += errors
        spans += calls

    async def is_exact() -> bool:
        await _assert_exact(measured, sent)
        return True

    await eventually(is_exact, timeout_s=EXACT_WITHIN_S, what="the API's count is exact")
    counted_s = answer["elapsed_s"] + time.perf_counter() - acknowledged_at
    return {
        "spans": spans,
        "refused": answer["refused"],
        "acknowledged_s": answer["elapsed_s"],
        "counted_s": counted_s,
    }


async def _steady_share(measured: Measured, load: Load) -> float:
    """Send at the pace of a small site, and nobody looks; return the CPU time of all roles by the clock's."""
    before_s, began = sum(map(cpu_s, measured.roles.values())), time.perf_counter()
    await load(
        "steady",
        port=measured.system.grpc_port,
        spans_per_s=STEADY_SPANS_PER_S,
        services=STEADY_SERVICES,
        seconds=STEADY_S,
    )
    return (sum(map(cpu_s, measured.roles.values())) - before_s) / (time.perf_counter() - began)


async def _assert_exact(measured: Measured, sent: Account) -> None:
    found = await measured.services()
    counted = {(service, key): item[key] for service, item in found.items() for key in ("calls", "errors")}
    assert counted == dict(sent), f"counted {counted}, sent {dict(sent)}"


def _decoding_rate() -> float:
    """Return how fast the same kind of requests are decoded and added up in this process, at best, in spans/s."""
    prepared = [typical(seed, time.time_ns()) for seed in range(16)]
    decoder = build_decoder(ProcessorSettings())
    latest_end_ns = time.time_ns() + 10**12
    rates = []
    for _ in range(5):
        started = time.perf_counter()
        aggregate([decoder.decode(one.body, latest_end_ns=latest_end_ns) for one in prepared])
        rates.append(sum(one.calls for one in prepared) / (time.perf_counter() - started))
    return max(rates)


def _row(name: str, value: float, unit: str) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit}
