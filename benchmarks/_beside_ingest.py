"""What ingest loses to the container statistics in the same process: rounds of both kinds in turns, as pairs.

As in `modelwatch up`, the statistics hand their metrics to the intake that takes the spans, on SQLite. They watch all
containers of an engine and, by their command, the processes in those.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from benchmarks._requests import SPANS_PER_REQUEST
from benchmarks._templates import templates
from benchmarks.throughput import hand_over
from container_stats.component import build as build_containers
from container_stats.settings import ContainerSettings
from processor.component import build as build_intake
from processor.settings import ProcessorSettings
from storage.absent_live_feed import AbsentLiveFeed
from storage.component import build_sqlite_history
from storage.settings import StorageSettings
from telemetry import Consumer, Counters
from tests.support.waiting import eventually

PAIRS: Final = 10
ROUND_S: Final = 3.0
INTERVAL_S: Final = 2.0
"""Five times as often as by default, so that each round has a sample in it."""
_WARM_UP_REQUESTS: Final = 400

Round = tuple[float, float]
"""Spans per second, and CPU time of the process per million spans."""


async def rounds_beside(engine_url: str, process_command: str, count: int) -> list[tuple[Round, Round]]:
    """Return pairs of rounds, without and with the statistics of `count` containers, with a process each."""
    made = templates(64)
    pairs: list[tuple[Round, Round]] = []
    settings = ContainerSettings(
        engine=engine_url, interval_s=INTERVAL_S, process_commands=(process_command,), own_cgroup=False
    )
    with tempfile.TemporaryDirectory() as folder:
        history = build_sqlite_history(StorageSettings(), f"sqlite:///{Path(folder) / 'bench.db'}")
        intake = build_intake(ProcessorSettings(), history, AbsentLiveFeed(), Counters())
        await history.start()
        await intake.start()
        try:
            await hand_over(intake, made, _WARM_UP_REQUESTS)
            rate, _ = await hand_over(intake, made, _WARM_UP_REQUESTS)
            requests = int(rate * ROUND_S / SPANS_PER_REQUEST)
            for pair in range(PAIRS):
                found: dict[bool, Round] = {}
                for is_watched in (pair % 2 == 0, pair % 2 == 1):  # neither is always the second
                    async with _watching(settings, intake, count if is_watched else 0):
                        found[is_watched] = await hand_over(intake, made, requests)
                pairs.append((found[False], found[True]))
        finally:
            await intake.stop()
            await history.stop()
    return pairs


@asynccontextmanager
async def _watching(settings: ContainerSettings, intake: Consumer, count: int) -> AsyncIterator[None]:
    """Watch while the block runs, once so many containers and processes are seen; nothing if there are none to see."""
    if not count:
        yield
        return
    counters = Counters()
    component = build_containers(settings, counters, consumer=intake)
    await component.start()
    try:
        await eventually(lambda: _seen(counters) == (count, count), timeout_s=60, what="all are watched")
        yield
    finally:
        await component.stop()


def _seen(counters: Counters) -> tuple[float, float]:
    gauges = counters.figures().gauges
    return gauges["container_stats_containers", ()], gauges["container_stats_processes", ()]
