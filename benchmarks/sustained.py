"""Whether the distributed size keeps up with 50,000 spans a second, how fresh its answers are meanwhile, and a backlog.

Real processes on this machine: load, receiver, RabbitMQ, a processor, PostgreSQL, Redis and the dashboard, which is
asked all the time. A probe is sent now and then as a request of a single span; its delay is the time from its end to
the first answer of /api/v1/services that counts it. In the end exactly the calls and errors that were acknowledged are
counted. Then a backlog is worked off by one processor, and one of the same size by two.

Briefly with the other benchmarks; `python -m benchmarks.sustained --seconds 60` for longer, `--spans-per-s` for other
rates.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import time
from collections import Counter
from typing import Any

import httpx

from benchmarks._load import Load, load_process
from benchmarks._requests import one_call
from benchmarks._systems import Measured, Row, cpu_s, running, services_of
from tests.support.waiting import eventually

SECONDS = 15.0
SPANS_PER_S = 50_000
IN_FLIGHT = 64
PROBE = "probe"
PROBE_EVERY_S = 0.5
ASK_EVERY_S = 0.1
WINDOW = "15m"
SETTLED_WITHIN_S = 60.0
BACKLOG_S = 8.0
BACKLOG_SPANS_PER_S = 100_000

Account = Counter[tuple[str, str]]


def run(seconds: float = SECONDS, spans_per_s: int = SPANS_PER_S) -> list[Row]:
    """Return the rate, delays, how far anything fell behind, CPU time by process, and how fast backlogs are read."""
    return asyncio.run(_run(seconds, spans_per_s))


async def _run(seconds: float, spans_per_s: int) -> list[Row]:
    async with load_process() as load, running("distributed") as measured:
        if measured is None:
            return []
        sent: Account = Counter()
        await asyncio.to_thread(measured.system.roles["processor-2"].stop)
        # Spans from before the start would make every question one for the history.
        await asyncio.sleep(3)
        rows = await _sustained(measured, load, sent, seconds, spans_per_s)
        one = await _backlog(measured, load, sent, ("processor-1",))
        two = await _backlog(measured, load, sent, ("processor-1", "processor-2"))
        return [
            *rows,
            _row("a backlog, one processor", one, "spans/s"),
            _row("a backlog, two processors", two, "spans/s"),
            _row("two processors / one", two / one, "x"),
        ]


async def _sustained(measured: Measured, load: Load, sent: Account, seconds: float, spans_per_s: int) -> list[Row]:
    processes = {**measured.roles, **measured.servers}
    processes.pop("processor-2")
    before_s = {name: cpu_s(process) for name, process in processes.items()}
    async with _Probing(measured) as probing:
        answer = await load(
            "sustain", port=measured.system.grpc_port, spans_per_s=spans_per_s, seconds=seconds, in_flight=IN_FLIGHT
        )
    acknowledged_at = time.perf_counter()
    spans = _add(sent, answer["services"])
    sent[PROBE, "calls"] += probing.sent
    sent[PROBE, "errors"] += 0
    await _counted(measured, sent)
    settled_s = time.perf_counter() - acknowledged_at
    used_s = {name: cpu_s(process) - before_s[name] for name, process in processes.items()}
    title = f"{spans_per_s:,} spans/s for {seconds:.0f} s"
    delays_ms = sorted(delay * 1e3 for delay in probing.delays_s())
    return [
        _row(f"{title}: acknowledged, and counted exactly", spans / answer["elapsed_s"], "spans/s"),
        _row(f"{title}: the load fell behind by at most", answer["behind_s"], "s"),
        _row(f"{title}: requests refused and sent again", answer["refused"], ""),
        _row(f"{title}: last OK to exact count", settled_s, "s"),
        _row(f"{title}: freshness P50 of {len(delays_ms)} probes", delays_ms[len(delays_ms) // 2], "ms"),
        _row(f"{title}: freshness P95", delays_ms[len(delays_ms) * 95 // 100], "ms"),
        _row(f"{title}: freshness, the worst", delays_ms[-1], "ms"),
        *(_row(f"{title}: CPU of {name}", used / seconds * 100, "% of a core") for name, used in used_s.items()),
    ]


class _Probing:
    """Sends a span of its own now and then, and asks all the time how many of them are counted."""

    def __init__(self, measured: Measured) -> None:
        self._measured = measured
        self._ends_s: list[float] = []
        self._seen: list[tuple[float, int]] = []
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def sent(self) -> int:
        return len(self._ends_s)

    async def __aenter__(self) -> _Probing:
        self._tasks = [asyncio.create_task(self._send()), asyncio.create_task(self._ask())]
        return self

    async def __aexit__(self, *_: object) -> None:
        sending, asking = self._tasks
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sending
        try:
            await eventually(
                lambda: asking.done() or (bool(self._seen) and self._seen[-1][1] >= self.sent),
                timeout_s=SETTLED_WITHIN_S,
                what="every probe is seen",
            )
        finally:
            asking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asking

    def delays_s(self) -> list[float]:
        """Return how long each probe took to be counted in an answer; they arrive in order, or nearly."""
        return [
            next(at_s for at_s, calls in self._seen if calls >= number) - end_s
            for number, end_s in enumerate(self._ends_s, start=1)
        ]

    async def _send(self) -> None:
        url = f"http://127.0.0.1:{self._measured.system.http_port}/v1/traces"
        headers = {"content-type": "application/x-protobuf"}
        async with httpx.AsyncClient(timeout=30) as client:
            while True:
                end_ns = time.time_ns()
                sending = asyncio.create_task(client.post(url, content=one_call(PROBE, end_ns), headers=headers))
                # Once sent it is to be counted, whatever ends the probing meanwhile.
                self._ends_s.append(end_ns / 1e9)
                (await asyncio.shield(sending)).raise_for_status()
                await asyncio.sleep(PROBE_EVERY_S)

    async def _ask(self) -> None:
        async with httpx.AsyncClient() as client:
            while True:
                found = await services_of(client, self._measured.system, WINDOW)
                self._seen.append((time.time(), found.get(PROBE, {}).get("calls", 0)))
                await asyncio.sleep(ASK_EVERY_S)


async def _backlog(measured: Measured, load: Load, sent: Account, names: tuple[str, ...]) -> float:
    """Fill the queue while no processor runs, start these, and return the rate from the first count to the last."""
    system = measured.system
    for name in ("processor-1", "processor-2"):
        await asyncio.to_thread(system.roles[name].stop)
    known = sum(calls for (_, key), calls in sent.items() if key == "calls")
    answer = await load(
        "sustain",
        port=system.grpc_port,
        spans_per_s=BACKLOG_SPANS_PER_S,
        seconds=BACKLOG_S,
        in_flight=IN_FLIGHT,
    )
    total = known + _add(sent, answer["services"])
    async with httpx.AsyncClient() as client:
        starting = [asyncio.create_task(system.start(name, "processor")) for name in names]
        began_s, first, counted = 0.0, 0, known
        deadline_s = time.perf_counter() + SETTLED_WITHIN_S
        while counted < total:
            assert time.perf_counter() < deadline_s, f"{counted} of {total} spans are counted"
            await asyncio.sleep(ASK_EVERY_S)
            counted = sum(item["calls"] for item in (await services_of(client, system, WINDOW)).values())
            if counted > known and not began_s and all(task.done() for task in starting):
                began_s, first = time.perf_counter(), counted
        elapsed_s = time.perf_counter() - began_s
        await asyncio.gather(*starting)
    await _counted(measured, sent)
    return (total - first) / elapsed_s


async def _counted(measured: Measured, sent: Account) -> None:
    async def is_exact() -> bool:
        found = await measured.services(WINDOW)
        counted = {(service, key): item[key] for service, item in found.items() for key in ("calls", "errors")}
        assert counted == dict(sent), f"counted {counted}, sent {dict(sent)}"
        return True

    await eventually(is_exact, timeout_s=SETTLED_WITHIN_S, interval_s=0.2, what="the API's count is exact")


def _add(sent: Account, services: dict[str, tuple[int, int]]) -> int:
    for service, (calls, errors) in services.items():
        sent[service, "calls"] += calls
        sent[service, "errors"] += errors
    return sum(calls for calls, _ in services.values())


def _row(name: str, value: float, unit: str) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--spans-per-s", type=int, default=SPANS_PER_S)
    chosen = parser.parse_args()
    for row in run(chosen.seconds, chosen.spans_per_s):
        print(f"{row['name']:<75} {row['value']:>12,.2f} {row['unit']}")
