"""How many spans a second one processor takes from its intake to committed rows, and what ten times as many cost.

One process with the processor's intake and the history on SQLite or PostgreSQL; requests of 512 spans wait for their
commit, as many at a time as the RabbitMQ source prefetches. Beside it, in turns in the same run: requests of the same
kind decoded and added up, and not stored. All calls are found in the history in the end. PostgreSQL runs with fsync on.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

import psutil

from benchmarks._requests import SPANS_PER_REQUEST
from benchmarks._systems import cpu_s
from benchmarks._templates import Template, templates
from processor import component
from processor.aggregation import aggregate
from processor.rabbit_source_settings import RabbitSourceSettings
from processor.settings import ProcessorSettings
from storage.absent_live_feed import AbsentLiveFeed
from storage.component import build_postgres_history, build_sqlite_history
from storage.history import SqlHistory
from storage.ports import SeriesFilter
from storage.settings import StorageSettings
from telemetry import Batch, Consumer, Counters, Signal
from tests.support import servers

ROUNDS: Final = 3
REQUESTS: Final = 200
TEMPLATES: Final = 64
TIMES_MORE: Final = 10
GROUP: Final = 16  # requests in a full group, by default

Row = dict[str, Any]


def run() -> list[Row]:
    """Return spans per second and CPU time per million spans."""
    return asyncio.run(_run())


async def _run() -> list[Row]:
    made = templates(TEMPLATES)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        history = build_sqlite_history(StorageSettings(), f"sqlite:///{Path(folder) / 'bench.db'}")
        rows += await _measure("SQLite", history, made)
    try:
        server = servers.postgres_server()
    except servers.MissingServerError:
        return rows
    try:
        before = set(servers.RUNNING_PIDS)
        server.start()
        pids = servers.RUNNING_PIDS - before
        history = build_postgres_history(StorageSettings(), server.fresh_database())
        return rows + await _measure("PostgreSQL", history, made, [psutil.Process(pid) for pid in pids])
    finally:
        server.remove()


async def _measure(
    name: str, history: SqlHistory, made: Sequence[Template], server: Sequence[psutil.Process] = ()
) -> list[Row]:
    live = AbsentLiveFeed()
    intake = component.build(ProcessorSettings(), history, live, Counters())
    await history.start()
    await intake.start()
    began_s = int(time.time())
    try:
        await hand_over(intake, made, REQUESTS)  # to warm up
        sent = REQUESTS
        alone, whole = [], []
        server_s = sum(map(cpu_s, server))
        for _ in range(ROUNDS):
            alone.append(_alone(made, REQUESTS))
            whole.append(await hand_over(intake, made, REQUESTS))
            sent += REQUESTS
        server_s = sum(map(cpu_s, server)) - server_s
        more = await hand_over(intake, made, REQUESTS * TIMES_MORE)
        sent += REQUESTS * TIMES_MORE
        found = await history.read(began_s - 20, int(time.time()) + 20, SeriesFilter())
        calls, expected = int(found.calls.sum()), sent * SPANS_PER_REQUEST
        assert calls == expected, f"{calls} calls of {expected} are in the history"
    finally:
        await intake.stop()
        await history.stop()
    rate, alone_rate = median(one[0] for one in whole), median(one[0] for one in alone)
    spans = REQUESTS * SPANS_PER_REQUEST
    rows = [
        _row(f"{name}: intake to committed row", rate, "spans/s"),
        _row(f"{name}: decode and add up alone, in turns", alone_rate, "spans/s"),
        _row(f"{name}: the first / the second", rate / alone_rate, "x"),
        _row(f"{name}: CPU per million spans, {spans:,} spans", median(one[1] for one in whole), "CPU s"),
        _row(f"{name}: CPU per million spans, {spans * TIMES_MORE:,} spans", more[1], "CPU s"),
        _row(f"{name}: intake to committed row, {spans * TIMES_MORE:,} spans", more[0], "spans/s"),
    ]
    if server:
        per_million = server_s / (ROUNDS * spans) * 1e6
        rows.append(_row(f"{name}: CPU of the server per million spans", per_million, "CPU s"))
    return rows


async def hand_over(intake: Consumer, made: Sequence[Template], requests: int) -> tuple[float, float]:
    """Hand requests to the intake; return spans per second, and the CPU time of this process per million spans."""
    window = asyncio.Semaphore(RabbitSourceSettings().prefetch)
    busy_s, making_s = time.process_time(), 0.0
    began = time.perf_counter()

    async def consume(batch: Batch) -> None:
        try:
            await intake.consume(batch)
        finally:
            window.release()

    async with asyncio.TaskGroup() as consuming:
        for number in range(requests):
            await window.acquire()
            started = time.thread_time()
            batch = batch_of(made[number % len(made)])
            making_s += time.thread_time() - started
            consuming.create_task(consume(batch))
    spans = requests * SPANS_PER_REQUEST
    used_s = time.process_time() - busy_s - making_s
    return spans / (time.perf_counter() - began), used_s / spans * 1e6


def _alone(made: Sequence[Template], requests: int) -> tuple[float, float]:
    decoder = component.build_decoder(ProcessorSettings())
    batches = [batch_of(made[number % len(made)]) for number in range(requests)]
    latest_end_ns = time.time_ns() + 10**12
    began, busy_s = time.perf_counter(), time.process_time()
    for first in range(0, requests, GROUP):
        aggregate([decoder.decode(batch.body, latest_end_ns=latest_end_ns) for batch in batches[first : first + GROUP]])
    spans = requests * SPANS_PER_REQUEST
    return spans / (time.perf_counter() - began), (time.process_time() - busy_s) / spans * 1e6


def batch_of(template: Template) -> Batch:
    """Return a batch of a template's request, ending now."""
    now_ns = time.time_ns()
    body = template.ending_at(now_ns).body
    return Batch.of(Signal.TRACES, body, item_count=SPANS_PER_REQUEST, received_unix_nano=now_ns)


def _row(name: str, value: float, unit: str) -> Row:
    return {"name": name, "value": value, "unit": unit}
