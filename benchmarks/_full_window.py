"""`modelwatch up` as it is after a day: fifty services of eight series, each called once a second.

The last five minutes are in the live window to the second, and the day before in the database.

Shared by what is measured of open pages.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import httpx
import numpy as np

from benchmarks._loaded_history import load_tier
from benchmarks._requests import ROUTES, every_series
from storage.component import build_sqlite_history
from storage.settings import StorageSettings
from storage.tiers import COARSE, MEDIUM
from telemetry import ExponentialHistogram, RedPoint, SeriesKey
from tests.support.processes import RunningProcess, answers
from tests.support.systems import System, system_in
from tests.support.waiting import eventually

SERVICES: Final = 50
SERIES: Final = 8
WINDOW_S: Final = 330
DAY_S: Final = 86_400
_HOUR_S: Final = 3_600
_BATCH_S: Final = 10
_READY_WITHIN_S: Final = 60.0


@contextlib.asynccontextmanager
async def full_system(*, has_day: bool = False) -> AsyncIterator[System]:
    """Run it, called once a second from then on; only `has_day` loads the day before, which takes half a minute."""
    with tempfile.TemporaryDirectory(prefix="modelwatch-bench-") as folder:
        if has_day:
            await _load_day(Path(folder))
        system = await _started(Path(folder))
        try:
            began_s = int(time.time()) - WINDOW_S
            await _send_window(system, began_s)
            calling = asyncio.create_task(_call_each_second(system))
            try:
                yield system
            finally:
                calling.cancel()
                await asyncio.gather(calling, return_exceptions=True)
        finally:
            system.stop_all()


async def _load_day(folder: Path) -> None:
    """Write minutes and hours up to a quarter of an hour ago; what the live window says that it has stays empty."""
    settings = StorageSettings(sqlite_synchronous="NORMAL")
    history = build_sqlite_history(settings, f"sqlite:///{folder / 'modelwatch.db'}")
    await history.start()
    try:
        end_s = int(time.time()) // _HOUR_S * _HOUR_S - _HOUR_S
        start_s = end_s - DAY_S - 2 * _HOUR_S
        await history.commit([], list(_points(start_s, 1)))  # makes the series known
        for rank in (MEDIUM, COARSE):
            tier = history.tiers[rank]
            await load_tier(history, tier, list(_points(0, tier.width_s)), start_s + _HOUR_S, end_s)
    finally:
        await history.stop()


def _points(start_s: int, calls: int) -> Iterator[RedPoint]:
    """Return a point of each series that `every_series` sends calls of, with so many calls around 7 ms."""
    chance = np.random.default_rng(calls)
    for service in range(SERVICES):
        for index in range(SERIES):
            durations = (chance.lognormal(2, 0.7, calls) * 1e6).astype(np.int64)
            key = SeriesKey(f"model-{service:02}", "1.0", "i-1", http_method="POST")
            key = key._replace(http_route=ROUTES[index // 2 % len(ROUTES)], http_status_class=("2xx", "4xx")[index % 2])
            yield RedPoint(key, start_s, calls, 0, ExponentialHistogram.of(durations))


async def _started(folder: Path) -> System:
    system = system_in(folder, {})
    command = [sys.executable, "-m", "benchmarks._begun_earlier", "up"]
    system.roles["up"] = RunningProcess(command, system.environment, folder / "up.log")
    try:
        await eventually(lambda: answers(f"{system.url}/readyz"), timeout_s=_READY_WITHIN_S, interval_s=0.2)
    except BaseException:
        print(system.roles["up"].output()[-4_000:], file=sys.stderr)
        system.stop_all()
        raise
    return system


async def _send_window(system: System, began_s: int) -> None:
    """Send one call in each series for every second up to now, and see that all are counted."""
    sent_to_s = began_s
    async with httpx.AsyncClient(headers={"content-type": "application/x-protobuf"}, timeout=60) as client:
        while (now_s := int(time.time())) > sent_to_s:
            seconds = range(sent_to_s, min(now_s, sent_to_s + _BATCH_S))
            await asyncio.gather(*(_send(client, system, 10**9 * second + 5 * 10**8) for second in seconds))
            sent_to_s = seconds.stop
        sent = (sent_to_s - began_s) * SERVICES * SERIES

        async def are_counted() -> bool:
            found = (await client.get(f"{system.url}/api/v1/services", params={"window": "10m"})).json()
            return sum(item["calls"] for item in found["items"]) >= sent

        await eventually(are_counted, timeout_s=_READY_WITHIN_S, interval_s=0.5, what="the window is filled")


async def _call_each_second(system: System) -> None:
    async with httpx.AsyncClient(headers={"content-type": "application/x-protobuf"}, timeout=60) as client:
        while True:
            began = time.monotonic()
            await _send(client, system, time.time_ns())
            await asyncio.sleep(max(1.0 - (time.monotonic() - began), 0.0))


async def _send(client: httpx.AsyncClient, system: System, end_ns: int) -> None:
    body = every_series(SERVICES, SERIES, end_ns).body
    (await client.post(f"http://127.0.0.1:{system.http_port}/v1/traces", content=body)).raise_for_status()
