"""What open Overview pages cost the server: CPU and bytes, with 1, 10 and 50 of them on fifty services of eight series.

The pages are real WebSocket clients that follow the question of a page and say when they have an update; the server is
`modelwatch up` with five full minutes, called once a second in every series. CPU is that of its process, less what it
takes without a page.
"""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import AsyncExitStack
from typing import Any, Final

import psutil
from websockets.asyncio.client import ClientConnection, connect

from benchmarks._full_window import full_system
from tests.support.systems import System

CLIENTS: Final = (1, 10, 50)
STRETCH_S: Final = 12.0
_SETTLE_S: Final = 3.0
_FOLLOW: Final = json.dumps(
    {"do": "follow", "number": 1, "page": "overview", "search": "", "width": 500, "keeps": False}
)

Row = dict[str, Any]


def run() -> list[Row]:
    """Return CPU in percent of a core, and bytes of an update."""
    return asyncio.run(_run())


async def _run() -> list[Row]:
    async with full_system() as system:
        await asyncio.sleep(_SETTLE_S)
        idle = await _cpu_percent(system)
        rows: list[Row] = [{"name": "without a page", "value": idle, "unit": "% of a core"}]
        for clients in CLIENTS:
            rows += await _with_pages(system, clients, idle)
        return rows


async def _with_pages(system: System, clients: int, idle: float) -> list[Row]:
    sizes: list[list[int]] = [[] for _ in range(clients)]
    async with AsyncExitStack() as stack:
        url = f"ws://127.0.0.1:{system.web_port}/_push"
        sockets = [await stack.enter_async_context(connect(url, compression=None)) for _ in range(clients)]
        pages = [asyncio.create_task(_page(one, found)) for one, found in zip(sockets, sizes, strict=True)]
        await asyncio.sleep(3.0)  # the first updates are whole
        before = [len(found) for found in sizes]
        cpu = await _cpu_percent(system)
        updates = [found[start:] for found, start in zip(sizes, before, strict=True)]
        for page in pages:
            page.cancel()
        ended = await asyncio.gather(*pages, return_exceptions=True)
    if wrong := [error for error in ended if not isinstance(error, asyncio.CancelledError)]:
        raise RuntimeError(f"a page was not fed: {wrong[0]!r}")
    total = sum(map(len, updates))
    return [
        {"name": f"{clients} pages", "value": cpu - idle, "unit": "% of a core"},
        {"name": f"{clients} pages: each", "value": (cpu - idle) / clients, "unit": "% of a core"},
        {"name": f"{clients} pages: updates a second, each", "value": total / clients / STRETCH_S, "unit": "/s"},
        {"name": f"{clients} pages: an update", "value": sum(map(sum, updates)) / total / 1_000, "unit": "KB"},
        {"name": f"{clients} pages: the first update", "value": sizes[0][0] / 1_000, "unit": "KB"},
    ]


async def _page(socket: ClientConnection, sizes: list[int]) -> None:
    await socket.send(_FOLLOW)
    while True:
        sizes.append(len(await socket.recv()))
        await socket.send('{"do": "done"}')


async def _cpu_percent(system: System) -> float:
    process = psutil.Process(system.roles["up"].pid)
    before, began = process.cpu_times(), time.monotonic()
    await asyncio.sleep(STRETCH_S)
    after = process.cpu_times()
    return 100 * (after.user + after.system - before.user - before.system) / (time.monotonic() - began)
