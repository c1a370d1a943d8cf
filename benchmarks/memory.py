"""How much memory each role keeps resident, in both sizes: after the start, after load, and with many series live.

"Live" is the whole window of fifteen minutes with fifty services of eight series each, every series called in every
second, and then an open page's questions. Most of those calls are sent as late spans, because nobody waits a quarter of
an hour for a benchmark: questions that reach back before the start are answered by the history. With the seconds as
argument, `python -m benchmarks.memory 900`, that long of it is sent as it happens instead.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Iterable
from statistics import median

import httpx
import psutil

from benchmarks._load import Load, load_process
from benchmarks._requests import SPANS_PER_REQUEST
from benchmarks._systems import SIZES, Measured, Row, running
from tests.support.waiting import eventually

LOAD_REQUESTS = 200
IN_FLIGHT = 32
SERVICES, SERIES = 50, 8
WINDOW_S = 900
LATE_MARGIN_S = 10
PAGE_S = 6
"""How long every series is also called live and an open page is imitated."""
SETTLE_S = 1.0
COUNTED_WITHIN_S = 60.0


def run(page_s: int = PAGE_S) -> list[Row]:
    """Return the resident memory of every role in MB."""
    return asyncio.run(_run(page_s))


async def _run(page_s: int) -> list[Row]:
    rows: list[Row] = []
    async with load_process() as load:
        for size in SIZES:
            async with running(size) as measured:
                if measured is not None:
                    rows += await _measure(size, measured, load, page_s)
    return rows


async def _measure(size: str, measured: Measured, load: Load, page_s: int) -> list[Row]:
    port = measured.system.grpc_port
    await asyncio.sleep(SETTLE_S)
    rows = _rows(f"{size} after start", measured)

    spans = (await load("prepare", requests=LOAD_REQUESTS, within_s=1.0))["spans"]
    await load("send", port=port, in_flight=IN_FLIGHT)
    await _counted(measured, spans)
    rows += _rows(f"{size} after {LOAD_REQUESTS} x {SPANS_PER_REQUEST} spans", measured)

    late_s = WINDOW_S - LATE_MARGIN_S - page_s
    if late_s > 0:
        spans += (await load("prepare_window", services=SERVICES, series=SERIES, seconds=late_s))["spans"]
        await load("send", port=port, in_flight=IN_FLIGHT)
        await _counted(measured, spans)
    rows += _rows(f"{size}, {SERVICES} x {SERIES} series, {max(0, late_s)} s live", measured)

    sending = asyncio.create_task(load("steady_series", port=port, services=SERVICES, series=SERIES, seconds=page_s))
    questions_ms = await _ask_as_a_page(measured, sending)
    rows += _rows(f"{size}, {page_s} s more and a page's questions", measured)
    name = f"{size}: a page's three questions in the meantime"
    return [*rows, {"name": name, "value": median(questions_ms), "unit": "ms"}]


async def _ask_as_a_page(measured: Measured, until: asyncio.Task[dict[str, object]]) -> list[float]:
    """Ask once a second what an open page asks, for three ranges; return the time of each round in milliseconds."""
    elapsed_ms = []
    async with httpx.AsyncClient(base_url=f"{measured.system.url}/api/v1", timeout=30) as client:
        while not until.done():
            began = time.perf_counter()
            for path, parameters in (
                ("services", {"window": "5m"}),
                ("red", {"start": str(int(time.time()) - 300), "step": "1s"}),
                ("red", {"start": str(int(time.time()) - 900), "step": "5s"}),
            ):
                (await client.get(path, params=parameters)).raise_for_status()
            elapsed_ms.append((time.perf_counter() - began) * 1e3)
            await asyncio.wait([until], timeout=max(0.0, 1 - (time.perf_counter() - began)))
    await until
    return elapsed_ms


async def _counted(measured: Measured, spans: int) -> None:
    async def are_counted() -> bool:
        calls = sum(item["calls"] for item in (await measured.services("30m")).values())
        assert calls == spans, f"{calls} calls of {spans} are counted"
        return True

    await eventually(are_counted, timeout_s=COUNTED_WITHIN_S, interval_s=0.5, what="every span is counted")
    await asyncio.sleep(SETTLE_S)


def _rows(situation: str, measured: Measured) -> list[Row]:
    return [
        {"name": f"{situation}: {name}", "value": _resident_mb([process]), "unit": "MB"}
        for name, process in measured.roles.items()
    ]


def _resident_mb(processes: Iterable[psutil.Process]) -> float:
    return sum(process.memory_info().rss for process in processes) / 1e6


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("seconds", type=int)
    for row in run(parser.parse_args().seconds):
        print(f"{row['name']:<70} {row['value']:>10,.0f} {row['unit']}")
