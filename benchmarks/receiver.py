"""How fast the OTLP receiver takes requests, beside servers of the same libraries that do as little as can be.

They run in processes of their own under uvloop, the receiver in front of a consumer that keeps nothing, and one more
process sends. They take turns, round by round. What is compared is items per second of a server's own CPU time, because
on few cores the sender takes a part of the rate. Then the latency of one request of 512 spans at shares of the rate
that was measured, and the memory that open connections take.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from statistics import median
from typing import Any

import uvloop

from benchmarks._receiver_load import Answer, sending
from benchmarks._receiver_servers import Served, serving

ROUNDS = 5
ROUND_S = 0.3
OTHERS = ("bare", "parsing")
COMPARED = tuple((transport, what) for transport in ("grpc", "http") for what in ("traces", "traces gzip", "one span"))
ONCE = (("grpc", "metrics"), ("grpc", "logs"), ("http", "metrics"), ("http", "logs"), ("http", "traces json"))
LOADS = (0.1, 0.5, 0.9)
PACED_S = 2.5
CONNECTIONS = (1, 100, 1000)

Row = dict[str, Any]
Command = Callable[..., Awaitable[Answer]]


def run() -> list[Row]:
    """Return rows of `{"name", "value", "unit"}`."""
    return uvloop.run(_run())


async def _run() -> list[Row]:
    async with sending() as command:
        async with serving("ours") as ours:
            async with serving(OTHERS[0]) as bare, serving(OTHERS[1]) as parsing:
                rows, rates = await _compare(command, ours, (bare, parsing))
            for transport, what in ONCE:
                rows.append(_speed_row(f"{transport} {what}", [await _round(command, ours, transport, what)]))
            for transport in ("grpc", "http"):
                rows += await _latencies(command, ours, transport, rates[transport, "traces"])
        for transport in ("grpc", "http"):
            rows += await _memory(command, transport)
    return rows


async def _compare(
    command: Command, ours: Served, others: Sequence[Served]
) -> tuple[list[Row], dict[tuple[str, str], float]]:
    """Return rows of speeds and ratios, and how many requests a second the receiver took of each kind."""
    rows: list[Row] = []
    rates = {}
    for transport, what in COMPARED:
        rounds = [[await _round(command, served, transport, what) for served in (ours, *others)] for _ in range(ROUNDS)]
        mine, *theirs = zip(*rounds, strict=True)
        name = f"{transport} {what}"
        rates[transport, what] = median(one.requests_per_s for one in mine)
        rows.append(_speed_row(name, mine))
        rows.append({"name": f"{name}, in all", "value": rates[transport, what], "unit": "requests/s"})
        for kind, speeds in zip(OTHERS, theirs, strict=True):
            ratio = median(one.items_per_cpu_s / other.items_per_cpu_s for one, other in zip(mine, speeds, strict=True))
            rows.append(_speed_row(f"{name}, {kind} server", speeds))
            rows.append({"name": f"{name}, receiver / {kind} server", "value": ratio, "unit": ""})
    return rows, rates


class _Speed:
    """What came of one round."""

    def __init__(self, answer: Answer, cpu_s: float) -> None:
        self.requests_per_s = answer["requests"] / answer["elapsed_s"]
        self.items_per_cpu_s = answer["items"] / cpu_s


async def _round(command: Command, served: Served, transport: str, what: str) -> _Speed:
    await command("closed", transport=transport, port=served.ports[transport], what=what, seconds=ROUND_S)
    before_s = await served.cpu_s()
    answer = await command("go")
    return _Speed(answer, await served.cpu_s() - before_s)


def _speed_row(name: str, speeds: Sequence[_Speed]) -> Row:
    return {"name": name, "value": median(one.items_per_cpu_s for one in speeds), "unit": "items/CPU s"}


async def _latencies(command: Command, ours: Served, transport: str, capacity_per_s: float) -> list[Row]:
    rows = []
    for load in LOADS:
        sent = {"transport": transport, "port": ours.ports[transport], "what": "traces"}
        answer = await command("paced", **sent, per_s=capacity_per_s * load, seconds=PACED_S)
        for name in ("p50", "p99"):
            title = f"{transport} latency at {load:.0%} of {capacity_per_s:,.0f} requests/s, {name.upper()}"
            rows.append({"name": title, "value": answer[f"{name}_s"] * 1e3, "unit": "ms"})
    return rows


async def _memory(command: Command, transport: str) -> list[Row]:
    rows = []
    async with serving("ours") as ours:
        for connections in CONNECTIONS:
            sent = {"transport": transport, "port": ours.ports[transport], "what": "one span"}
            await command("held", **sent, connections=connections)
            name = f"{transport} memory at {connections} connections"
            rows.append({"name": name, "value": ours.resident_mb(), "unit": "MB"})
            await command("go")
            await asyncio.sleep(0.2)  # until the server has seen them go
    return rows
