"""A process that sends load over OTLP/gRPC, so that making and sending requests costs nobody else's time.

`Load` is its handle for benchmarks. It takes one command a line as JSON on standard input, answers each with one line,
and ends when the input does; what it sends is bounded by its commands.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio

from benchmarks import _requests, _templates
from benchmarks._requests import Prepared

CHANNELS = 8
LINE_LIMIT_BYTES = 1 << 20
TEMPLATES = 64
_EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_RETRY_PAUSE_S = 0.1
_TRIES = 100

Answer = dict[str, Any]


class Load:
    """The load process, seen from the benchmark: `await load(command, **arguments)` returns its answer."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def __call__(self, command: str, **arguments: Any) -> Answer:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"command": command, **arguments}).encode() + b"\n")
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the load process ended with {await self._process.wait()} while it did `{command}`")
        answer: Answer = json.loads(line)
        return answer

    @property
    def pid(self) -> int:
        return self._process.pid


@asynccontextmanager
async def load_process() -> AsyncIterator[Load]:
    """Start the process, and end it with the block."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks._load"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=LINE_LIMIT_BYTES,
    )
    try:
        yield Load(process)
    finally:
        if process.stdin is not None:
            process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 5)
        except TimeoutError:
            process.kill()
            await process.wait()


class _Sender:
    """What the process can do; every public method is a command."""

    def __init__(self) -> None:
        self._prepared: list[Prepared] = []
        self._seed = 0

    async def prepare(self, requests: int, within_s: float) -> Answer:
        """Make typical requests whose spans ended in the last `within_s` seconds."""
        start_ns = time.time_ns() - int(within_s * 1e9)
        seeds = range(self._seed, self._seed + requests)
        self._seed += requests
        self._prepared = [_requests.typical(seed, start_ns, within_s=within_s) for seed in seeds]
        return {"spans": sum(one.calls for one in self._prepared)}

    async def prepare_window(self, services: int, series: int, seconds: int) -> Answer:
        """Make requests with one call in each series in each of the last `seconds` seconds."""
        now_ns = time.time_ns()
        ends_ns = [now_ns - age_s * 10**9 for age_s in range(seconds, 0, -1)]
        self._prepared = [_requests.every_series(services, series, end_ns) for end_ns in ends_ns]
        return {"spans": sum(one.calls for one in self._prepared)}

    async def send(self, port: int, in_flight: int) -> Answer:
        """Send what is prepared, `in_flight` at a time; return the calls and errors acknowledged, by service."""
        requests = self._prepared
        refused: Counter[int] = Counter()
        async with _channels(port, min(CHANNELS, in_flight)) as exports:
            left = iter(requests)
            started = time.perf_counter()
            await asyncio.gather(*(_lane(exports[lane % len(exports)], left, refused) for lane in range(in_flight)))
            elapsed_s = time.perf_counter() - started
        return {"elapsed_s": elapsed_s, "refused": sum(refused.values()), "services": _account(requests)}

    async def steady(self, port: int, spans_per_s: int, services: int, seconds: float) -> Answer:
        """Send as `services` SDKs with an export delay of a second do: each once a second what ended since."""
        spans, pause_s = spans_per_s // services, 1 / services
        sent = 0
        async with _channels(port, CHANNELS) as exports, asyncio.TaskGroup() as sending:
            started = time.perf_counter()
            while (due_s := started + sent * pause_s) < started + seconds:
                await asyncio.sleep(due_s - time.perf_counter())
                request = _requests.typical(
                    sent,
                    time.time_ns() - 10**9,
                    within_s=1,
                    spans=spans,
                    service=f"steady-{sent % services:02}",
                )
                sending.create_task(_export(exports[sent % CHANNELS], request.body, Counter()))
                sent += 1
        return {"spans": sent * spans, "elapsed_s": time.perf_counter() - started}

    async def sustain(self, port: int, spans_per_s: int, seconds: float, in_flight: int) -> Answer:
        """Send at a steady pace, whatever the answers; return what was acknowledged, and how far it fell behind in s.

        When `in_flight` requests wait for their answers, the next one waits as well, and is then behind.
        """
        made = _templates.templates(TEMPLATES)
        sent: list[tuple[str, int, int]] = []
        refused: Counter[int] = Counter()
        room, behind_s, pause_s = asyncio.Semaphore(in_flight), 0.0, _requests.SPANS_PER_REQUEST / spans_per_s

        async def export(number: int, request: Prepared) -> None:
            try:
                await _export(exports[number % CHANNELS], request.body, refused)
                sent.append((request.service, request.calls, request.errors))
            finally:
                room.release()

        async with _channels(port, CHANNELS) as exports, asyncio.TaskGroup() as sending:
            started, number = time.perf_counter(), 0
            while (due_s := started + number * pause_s) < started + seconds:
                await asyncio.sleep(due_s - time.perf_counter())
                await room.acquire()
                behind_s = max(behind_s, time.perf_counter() - due_s)
                request = made[number % TEMPLATES].ending_at(time.time_ns())
                sending.create_task(export(number, request))
                number += 1
        elapsed_s = time.perf_counter() - started
        return {
            "elapsed_s": elapsed_s,
            "behind_s": behind_s,
            "refused": sum(refused.values()),
            "services": _added_up(sent),
        }

    async def prepare_live_series(self, services: int, series: int, parts: int, seconds: int) -> Answer:
        """Make requests as `live_series` sends them, of the last `seconds` seconds."""
        made = _templates.series_templates(services, series, parts)
        now_ns = time.time_ns()
        self._prepared = [made[age_s % parts].ending_at(now_ns - age_s * 10**9) for age_s in range(seconds, 0, -1)]
        return {"spans": sum(one.calls for one in self._prepared)}

    async def live_series(self, port: int, services: int, series: int, parts: int, seconds: int) -> Answer:
        """Send one call in each series once in `parts` seconds, some of the services every second."""
        made = _templates.series_templates(services, series, parts)
        async with _channels(port, 1) as (export,), asyncio.TaskGroup() as sending:
            started = time.perf_counter()
            for second in range(seconds):
                await asyncio.sleep(started + second - time.perf_counter())
                body = made[second % parts].ending_at(time.time_ns()).body
                sending.create_task(_export(export, body, Counter()))
        return {"spans": seconds * services * series // parts}

    async def steady_series(self, port: int, services: int, series: int, seconds: int) -> Answer:
        """Send one call in each series once a second."""
        async with _channels(port, 1) as (export,), asyncio.TaskGroup() as sending:
            started = time.perf_counter()
            for second in range(seconds):
                await asyncio.sleep(started + second - time.perf_counter())
                body = _requests.every_series(services, series, time.time_ns()).body
                sending.create_task(_export(export, body, Counter()))
        return {"spans": seconds * services * series}


async def _lane(export: Any, requests: Iterable[Prepared], refused: Counter[int]) -> None:
    for request in requests:
        await _export(export, request.body, refused)


async def _export(export: Any, body: bytes, refused: Counter[int]) -> None:
    """Send until acknowledged, as an exporter does when it is told to try again."""
    for _ in range(_TRIES):
        try:
            await export(body, timeout=30)
            return
        except grpc.aio.AioRpcError as error:
            if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED):
                raise
            refused[0] += 1
            await asyncio.sleep(_RETRY_PAUSE_S)
    raise RuntimeError(f"refused {_TRIES} times")


def _account(requests: Sequence[Prepared]) -> dict[str, tuple[int, int]]:
    return _added_up((request.service, request.calls, request.errors) for request in requests)


def _added_up(sent: Iterable[tuple[str, int, int]]) -> dict[str, tuple[int, int]]:
    calls: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    for service, of_calls, of_errors in sent:
        calls[service] += of_calls
        errors[service] += of_errors
    return {service: (calls[service], errors[service]) for service in calls}


@asynccontextmanager
async def _channels(port: int, count: int) -> AsyncIterator[list[Any]]:
    """Open connections of their own, as that many applications would."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) for _ in range(count)]
    try:
        await asyncio.gather(*(channel.channel_ready() for channel in channels))
        yield [channel.unary_unary(_EXPORT) for channel in channels]  # type: ignore[call-arg]  # the stubs lack defaults
    finally:
        for channel in channels:
            await channel.close()  # type: ignore[call-arg]


async def _serve() -> None:
    sender = _Sender()
    while line := await asyncio.to_thread(sys.stdin.readline):
        order = json.loads(line)
        answer = await getattr(sender, order.pop("command"))(**order)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(_serve())
