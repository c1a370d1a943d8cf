"""Whether memory stays as it is with 10,000 live series, in the distributed size.

Fifty services of 200 series, each called once in ten seconds, and a page that asks for all services. The live window is
filled first with late spans, up to its limit of points, since what fills it would else look like growth. Three minutes,
and only when asked for by name; `python -m benchmarks.flat_memory 30` measures 30 minutes.
"""

from __future__ import annotations

import argparse
import asyncio
from statistics import median
from typing import Final

from benchmarks._load import Load, load_process
from benchmarks._systems import Measured, Row, running
from tests.support.waiting import eventually

MINUTES: Final = 3.0
SERVICES: Final = 50
SERIES: Final = 200
PARTS: Final = 10
FILLED_S: Final = 420  # of 1,000 points each; the window holds 400,000
IN_FLIGHT: Final = 16
SAMPLE_EVERY_S: Final = 2.0
COUNTED_WITHIN_S: Final = 120.0


def run(minutes: float = MINUTES) -> list[Row]:
    """Return the resident memory of each role in the first and the last third of the time."""
    return asyncio.run(_run(minutes))


async def _run(minutes: float) -> list[Row]:
    async with load_process() as load, running("distributed") as measured:
        return [] if measured is None else await _measure(measured, load, minutes)


async def _measure(measured: Measured, load: Load, minutes: float) -> list[Row]:
    port, shape = measured.system.grpc_port, {"services": SERVICES, "series": SERIES, "parts": PARTS}
    spans = (await load("prepare_live_series", **shape, seconds=FILLED_S))["spans"]
    await load("send", port=port, in_flight=IN_FLIGHT)
    await _counted(measured, spans)
    seconds = round(minutes * 60)
    sending = asyncio.create_task(load("live_series", port=port, **shape, seconds=seconds))
    samples: dict[str, list[float]] = {name: [] for name in measured.roles}
    while not sending.done():
        await measured.services()
        for name, process in measured.roles.items():
            samples[name].append(process.memory_info().rss / 1e6)
        await asyncio.wait([sending], timeout=SAMPLE_EVERY_S)
    await _counted(measured, spans + (await sending)["spans"])
    rows: list[Row] = []
    for name, of_role in samples.items():
        third = max(1, len(of_role) // 3)
        first, last = median(of_role[:third]), median(of_role[-third:])
        title = f"{SERVICES * SERIES:,} series, {minutes:g} min: {name}"
        rows += [
            {"name": f"{title}, first third", "value": first, "unit": "MB"},
            {"name": f"{title}, last third", "value": last, "unit": "MB"},
            {"name": f"{title}, last / first", "value": last / first, "unit": "x"},
        ]
    return rows


async def _counted(measured: Measured, spans: int) -> None:
    async def are_counted() -> bool:
        calls = sum(item["calls"] for item in (await measured.services("1h")).values())
        assert calls == spans, f"{calls} calls of {spans} are counted"
        return True

    await eventually(are_counted, timeout_s=COUNTED_WITHIN_S, interval_s=1, what="every span is counted")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("minutes", type=float)
    for row in run(parser.parse_args().minutes):
        print(f"{row['name']:<70} {row['value']:>10,.2f} {row['unit']}")
