"""What watching containers costs: CPU of watcher and engine, memory, how a sample holds the loop, what ingest loses.

The engine is a real one with fifty containers. Its own CPU time is taken before and while they are watched: the
difference is what the stats streams cost it. Last, spans are taken with and without the statistics beside.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any, Final

import psutil

from benchmarks._beside_ingest import INTERVAL_S as BESIDE_INTERVAL_S
from benchmarks._beside_ingest import rounds_beside
from container_stats.component import build
from container_stats.readings import encode
from container_stats.sampler import SUBJECTS_PER_STEP
from container_stats.settings import ContainerSettings
from otlp_receiver.component import build as build_receiver
from otlp_receiver.settings import ReceiverSettings
from telemetry import Counters
from tests.support.docker_engine import DockerEngine
from tests.support.metric_consumer import MetricConsumer
from tests.support.ports import free_port
from tests.support.processes import RunningProcess, start_role
from tests.support.waiting import eventually

CONTAINERS: Final = 50
SECONDS: Final = 30.0
INTERVAL_S: Final = 10.0
IDLE: Final = "exec sleep 100000"

Row = dict[str, Any]


def run() -> list[Row]:
    """Return CPU, memory and times of a watcher of fifty containers."""
    engine = DockerEngine()
    try:
        engine.start()
        for number in range(CONTAINERS):
            engine.run(f"idle-{number}", IDLE)
        return asyncio.run(_measure(engine)) + asyncio.run(_measure_ingest(engine))
    finally:
        engine.remove()


async def _measure(engine: DockerEngine) -> list[Row]:
    idle = await _engine_cpu(engine)
    with tempfile.TemporaryDirectory() as folder:
        async with _watcher(engine, Path(folder)) as watcher:
            process = psutil.Process(watcher.pid)
            before_s, engine_before_s, began = _cpu_s(process), engine.cpu_seconds(), time.monotonic()
            await asyncio.sleep(SECONDS)
            elapsed_s = time.monotonic() - began
            own = (_cpu_s(process) - before_s) / elapsed_s
            watched = (engine.cpu_seconds() - engine_before_s) / elapsed_s
            memory_mb = process.memory_info().rss / 1e6
    of_engine = max(watched - idle, 0.0)
    held_s, points, size = await _sample(engine)
    return [
        _row(f"{CONTAINERS} containers: watcher", own * 100, "% of a core"),
        _row(f"{CONTAINERS} containers: engine, beyond its idle", of_engine * 100, "% of a core"),
        _row("per container and frame (1/s): watcher", own / CONTAINERS * 1e3, "ms"),
        _row("per container and frame (1/s): engine", of_engine / CONTAINERS * 1e3, "ms"),
        _row("watcher process, resident", memory_mb, "MB"),
        _row(f"one sample of {CONTAINERS}: points", points, "points"),
        _row(f"one sample of {CONTAINERS}: OTLP", size / 1e3, "KB"),
        _row(f"one sample of {CONTAINERS}: reading and encoding, CPU", held_s * 1e3, "ms"),
        _row("of which the loop is held at a time", held_s * 1e3 * SUBJECTS_PER_STEP / (2 * CONTAINERS), "ms"),
    ]


async def _measure_ingest(engine: DockerEngine) -> list[Row]:
    pairs = await rounds_beside(engine.url, f"^{IDLE.removeprefix('exec ')}$", CONTAINERS)
    beside = f"beside {CONTAINERS} containers and processes, sampled every {BESIDE_INTERVAL_S:g} s"
    return [
        _row("ingest: intake to committed row, alone", median(alone[0] for alone, _ in pairs), "spans/s"),
        _row(f"ingest: the same {beside}", median(watched[0] for _, watched in pairs), "spans/s"),
        _row("ingest: the second / the first, median of pairs", median(w[0] / a[0] for a, w in pairs), "x"),
        _row("ingest: CPU per million spans, alone", median(alone[1] for alone, _ in pairs), "CPU s"),
        _row("ingest: the same beside, with what the statistics take", median(w[1] for _, w in pairs), "CPU s"),
        _row("ingest: the second / the first, median of pairs", median(w[1] / a[1] for a, w in pairs), "x"),
    ]


async def _engine_cpu(engine: DockerEngine) -> float:
    before_s, began = engine.cpu_seconds(), time.monotonic()
    await asyncio.sleep(SECONDS / 3)
    return (engine.cpu_seconds() - before_s) / (time.monotonic() - began)


@asynccontextmanager
async def _watcher(engine: DockerEngine, folder: Path) -> AsyncIterator[RunningProcess]:
    """Run `modelwatch containers` until it has sent a sample of all; the receiver is in this process."""
    sent, port = MetricConsumer(), free_port()
    receiver = build_receiver(ReceiverSettings(grpc_port=0, http_port=0), sent, Counters())
    await receiver.start()
    environment = {
        "MODELWATCH_HEALTH__PORT": str(port),
        "MODELWATCH_CONTAINERS__ENGINE": engine.url,
        "MODELWATCH_CONTAINERS__ENDPOINT": f"http://127.0.0.1:{receiver.http_port}",
        "MODELWATCH_CONTAINERS__INTERVAL_S": str(INTERVAL_S),
    }
    try:
        watcher = await start_role("containers", environment, folder / "log", port)
        try:
            await eventually(
                lambda: len(sent.points("container.memory.working_set")) >= CONTAINERS, timeout_s=60, interval_s=0.5
            )
            yield watcher
        finally:
            watcher.stop()
    finally:
        await receiver.stop()


async def _sample(engine: DockerEngine) -> tuple[float, int, int]:
    """Return the CPU time of a sample, the median of nine, and how large it is."""
    settings = ContainerSettings(engine=engine.url, interval_s=300)
    component = build(settings, Counters(), consumer=MetricConsumer())
    await component.start()
    watch = component._running.engine if component._running else None
    assert watch is not None
    try:
        await watch.connected.wait()
        taken, points, size = [], 0, 0
        for _ in range(9):
            await asyncio.sleep(1.2)
            began = time.thread_time()
            body, points = encode(list(watch.subjects(time.time_ns())))
            taken.append(time.thread_time() - began)
            size = len(body)
        return sorted(taken)[len(taken) // 2], points, size
    finally:
        await component.stop()


def _cpu_s(process: psutil.Process) -> float:
    return float(sum(process.cpu_times()[:2]))


def _row(name: str, value: float, unit: str) -> Row:
    return {"name": name, "value": value, "unit": unit}
