"""What forwarding takes and what it costs: how fast a backlog reaches one target, and ingest beside good and bad ones.

The targets are another process that takes everything at once, a port where nobody listens, and one that never answers.
Ingest is from the processor's intake to a committed row on SQLite, with the queue of forwarding on the same disk. The
target that takes everything gives way to it, as it would be on another machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

import psutil

from benchmarks._bound_queue import pairs_beside_a_bound_queue
from benchmarks._requests import SPANS_PER_REQUEST, typical
from benchmarks._systems import cpu_s
from benchmarks._templates import Template, templates
from benchmarks.throughput import batch_of, hand_over
from otlp_exporter.component import build_disk_feeds, build_rabbit_feeds
from otlp_exporter.settings import ExporterSettings
from processor.component import build as build_intake
from processor.settings import ProcessorSettings
from rabbitmq import ConfirmedPublisher, PublishLimits, RabbitSettings, message_of
from storage.absent_live_feed import AbsentLiveFeed
from storage.component import build_sqlite_history
from storage.settings import StorageSettings
from telemetry import Batch, Component, Consumer, Counters, Signal
from telemetry.queues import EXCHANGE
from tests.support.doubles import RecordingConsumer
from tests.support.otlp_target import GrpcTarget
from tests.support.ports import free_port
from tests.support.rabbit import RabbitView
from tests.support.servers import rabbitmq_server
from tests.support.waiting import eventually

BACKLOG: Final = 300
ROUNDS: Final = 5
ROUND_S: Final = 2.0

Row = dict[str, Any]
_LIMITS: Final = PublishLimits(64, 10**9, 30)


def run() -> list[Row]:
    """Return the throughput to one target by carrier and protocol, and what is left of ingest beside targets."""
    with _swallowing() as (target, grpc_port, http_port):
        ways: dict[str, dict[str, Any]] = {
            "gRPC, gzip": {"endpoint": f"http://localhost:{grpc_port}"},
            "gRPC, plain": {"endpoint": f"http://localhost:{grpc_port}", "compression": "none"},
            "HTTP, gzip": {"endpoint": f"http://127.0.0.1:{http_port}", "protocol": "http"},
        }
        rows = [row for name, way in ways.items() for row in asyncio.run(_drain_disk(name, way, target))]
        rows += asyncio.run(_drain_rabbit("gRPC, gzip", ways["gRPC, gzip"]))
        rows += asyncio.run(pairs_beside_a_bound_queue(_batches(BACKLOG)))
        target.nice(19)
        return rows + asyncio.run(_beside_ingest(grpc_port))


@contextlib.contextmanager
def _swallowing() -> Iterator[tuple[psutil.Process, int, int]]:
    command = [sys.executable, "-m", "benchmarks._swallowing"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        grpc_port, http_port = map(int, process.stdout.readline().split())
        yield psutil.Process(process.pid), grpc_port, http_port
        process.stdin.close()


def _batches(count: int) -> list[Batch]:
    now_ns = time.time_ns()
    bodies = [typical(seed, now_ns).body for seed in range(count)]
    return [Batch.of(Signal.TRACES, body, item_count=SPANS_PER_REQUEST, received_unix_nano=now_ns) for body in bodies]


async def _drain_disk(name: str, way: Mapping[str, Any], target: psutil.Process) -> list[Row]:
    settings = ExporterSettings.model_validate({"targets": [{"name": "target", **way}]})
    counters, batches = Counters(), _batches(BACKLOG)
    with tempfile.TemporaryDirectory() as folder:
        consumer, [queue, sending, feed, _] = build_disk_feeds(settings, RecordingConsumer(), counters, Path(folder))
        await queue.start()
        await sending.start()
        await asyncio.gather(*(consumer.consume(batch) for batch in batches))
        rows = await _drained(f"backlog on disk, {name}", feed, counters, batches, target)
        await sending.stop()
        await queue.stop()
    return rows


async def _drain_rabbit(name: str, way: Mapping[str, Any]) -> list[Row]:
    server = rabbitmq_server()
    server.start()
    try:
        url, rabbit_settings = RabbitView(server.url).url, RabbitSettings()
        settings = ExporterSettings.model_validate({"targets": [{"name": "target", **way}]})
        counters, batches = Counters(), _batches(BACKLOG)
        with tempfile.TemporaryDirectory() as folder:
            [feed] = build_rabbit_feeds(settings, rabbit_settings, url, counters, Path(folder))
            await feed.start()  # which declares the queue
            await feed.stop()
            publisher = ConfirmedPublisher(url, rabbit_settings, _LIMITS, name="benchmark")
            await publisher.start()
            for first in range(0, BACKLOG, 50):
                await asyncio.gather(
                    *(publisher.publish(EXCHANGE, message_of(one)) for one in batches[first : first + 50])
                )
            await publisher.stop()
            [feed] = build_rabbit_feeds(settings, rabbit_settings, url, counters, Path(folder))
            return await _drained(f"backlog at RabbitMQ, {name}", feed, counters, batches, None)
    finally:
        server.remove()


async def _drained(
    name: str, feed: Component, counters: Counters, batches: Sequence[Batch], target: psutil.Process | None
) -> list[Row]:
    items, size = len(batches) * SPANS_PER_REQUEST, sum(len(batch.body) for batch in batches)
    used_s = partial(_used_s, target)
    await feed.start()
    # From the first on: a process that sends has to begin.
    first = await eventually(lambda: counters.total("forward_sent_items"), timeout_s=60, interval_s=0.002)
    busy_s, began = used_s(), time.perf_counter()
    await eventually(lambda: counters.total("forward_sent_items") == items, timeout_s=60, interval_s=0.002)
    elapsed_s, busy_s = time.perf_counter() - began, used_s() - busy_s
    size, items = size * (items - first) // items, items - first
    await feed.stop()
    return [
        {"name": name, "value": items / elapsed_s, "unit": "spans/s"},
        {"name": f"{name}: before compression", "value": size / elapsed_s / 1e6, "unit": "MB/s"},
        {"name": f"{name}: CPU of the exporter", "value": busy_s / items * 1e6, "unit": "s per million spans"},
    ]


def _used_s(target: psutil.Process | None) -> float:
    """Return the processor time of this process and the one that sends, without the target's."""
    if target is None:
        return time.process_time()  # beside a server that is not to be counted
    return cpu_s(psutil.Process()) - cpu_s(target)


async def _beside_ingest(grpc_port: int) -> list[Row]:
    async with GrpcTarget() as slow:
        slow.delay_s = 10**6
        small = {"queue_max_bytes": 64 * 1024**2}
        good = {"name": "good", "endpoint": f"http://localhost:{grpc_port}", **small}
        dead = {"name": "dead", "endpoint": f"http://localhost:{free_port()}", **small}
        never = {"name": "slow", "endpoint": f"http://localhost:{slow.port}", **small}
        kinds: dict[str, list[dict[str, Any]]] = {
            "alone": [],
            "beside a good target": [good],
            "beside a dead target": [dead],
            "beside a slow target": [never],
            "beside all three": [good, dead, never],
        }
        found = await _rounds(kinds)
    alone = [one.spans_per_s for one in found["alone"]]
    rows: list[Row] = [{"name": "ingest alone", "value": median(alone), "unit": "spans/s"}]
    for kind in list(kinds)[1:]:
        rates = [one.spans_per_s for one in found[kind]]
        ratios = sorted(beside / without for beside, without in zip(rates, alone, strict=True))
        rows.append({"name": f"ingest {kind}", "value": median(rates), "unit": "spans/s"})
        for name, value in (("median", median(ratios)), ("lowest", ratios[0]), ("highest", ratios[-1])):
            rows.append({"name": f"ingest {kind} / alone, {name} of the rounds", "value": value, "unit": "x"})
    for kind, rounds in found.items():
        for name, waits in (("P50", [one.p50_s for one in rounds]), ("P95", [one.p95_s for one in rounds])):
            rows.append({"name": f"a third of that, {kind}: OK after, {name}", "value": median(waits), "unit": "s"})
    return rows


class _Round(NamedTuple):
    """Spans per second with both processors busy, and how long a request waits for its OK at a third of that rate."""

    spans_per_s: float
    p50_s: float
    p95_s: float


async def _measured(consumer: Consumer, made: Sequence[Template], requests: int) -> _Round:
    rate, _ = await hand_over(consumer, made, requests)
    waits_s, count, pause_s = list[float](), requests // 3, ROUND_S / (requests // 3)
    began = time.perf_counter()

    async def consume(number: int) -> None:
        await consumer.consume(batch_of(made[number % len(made)]))
        waits_s.append(time.perf_counter() - began - number * pause_s)  # from when it was due

    async with asyncio.TaskGroup() as consuming:
        for number in range(count):
            await asyncio.sleep(began + number * pause_s - time.perf_counter())
            consuming.create_task(consume(number))
    waits_s.sort()
    return _Round(rate, waits_s[count // 2], waits_s[count * 95 // 100])


async def _rounds(kinds: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, list[_Round]]:
    """Return rounds of all kinds in turns."""
    made, found = templates(64), {kind: list[_Round]() for kind in kinds}
    with tempfile.TemporaryDirectory() as folder:
        history = build_sqlite_history(StorageSettings(), f"sqlite:///{Path(folder) / 'bench.db'}")
        intake = build_intake(ProcessorSettings(), history, AbsentLiveFeed(), Counters())
        await history.start()
        await intake.start()
        try:
            rate, _ = await hand_over(intake, made, 400)
            requests = int(rate * ROUND_S / SPANS_PER_REQUEST)
            for number in range(ROUNDS):
                for place, (kind, targets) in enumerate(kinds.items()):
                    async with _forwarding(intake, targets, Path(folder) / f"{number}-{place}", made) as consumer:
                        found[kind].append(await _measured(consumer, made, requests))
        finally:
            await intake.stop()
            await history.stop()
    return found


@contextlib.asynccontextmanager
async def _forwarding(
    intake: Consumer, targets: Sequence[Mapping[str, Any]], folder: Path, made: Sequence[Template]
) -> AsyncIterator[Consumer]:
    """Forward while the block runs, which begins when the process that sends has met each target."""
    if not targets:
        yield intake
        return
    settings, counters = ExporterSettings.model_validate({"targets": targets, "stop_grace_s": 0}), Counters()
    consumer, running = build_disk_feeds(settings, intake, counters, folder)
    for one in running:
        await one.start()
    try:
        await hand_over(consumer, made, 2)
        names = [target["name"] for target in targets]
        await eventually(lambda: all(_is_met(counters, name) for name in names), timeout_s=60)
        yield consumer
    finally:
        for one in reversed(running):
            await one.stop()


def _is_met(counters: Counters, target: str) -> bool:
    gauges, labels = counters.gauges(), (("target", target),)
    return bool(
        gauges["forward_last_success_unix_s", labels]
        or gauges["forward_is_failing", labels]
        or gauges["forward_in_hand_batches", labels]
    )
