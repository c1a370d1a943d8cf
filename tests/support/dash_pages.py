"""A page served on a real socket from made-up calls, and tabs of a real browser to look at it with."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import fastapi
import uvicorn
from playwright.async_api import BrowserContext, Page

from dash_app.component import mount
from dash_app.pages import Sources
from dash_app.settings import DashSettings
from query import Query, QuerySettings, ServicesAnswer, TraceQuery
from telemetry import Counters, ExponentialHistogram, RedPoint, SeriesKey
from tests.support.ports import free_port
from tests.support.query_world import World, make_world
from tests.support.waiting import eventually

RANGE_S = 300
OTLP_ENDPOINT = "http://models.example.internal:4317"
SETTINGS = DashSettings(otlp_endpoint=OTLP_ENDPOINT, refresh_interval_s=0.5)


def calls(series: SeriesKey, second: int, durations_s: Sequence[float], errors: int = 0) -> RedPoint:
    """One second of one series, with a call per duration."""
    durations_ns = [int(duration * 1e9) for duration in durations_s]
    return RedPoint(series, second, len(durations_ns), errors, ExponentialHistogram.of(durations_ns))


class WatchedQuery:
    """The real query, which can be told to fail or to hold its answers back; `held` counts those.

    `windows_s` are those that services were asked for.
    """

    def __init__(self, query: Query) -> None:
        self._query = query
        self.error: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.held = 0
        self.windows_s: list[int] = []

    def settled_end_s(self) -> int:
        return self._query.settled_end_s()

    async def red(self, *args: Any) -> Any:
        return await self._query.red(*args)

    async def breakdown(self, *args: Any) -> Any:
        return await self._query.breakdown(*args)

    async def totals(self, *args: Any) -> Any:
        return await self._query.totals(*args)

    async def latency(self, *args: Any) -> Any:
        return await self._query.latency(*args)

    async def services(self, *args: Any, **named: Any) -> ServicesAnswer:
        self.windows_s.append(args[0])
        if not self.gate.is_set():
            self.held += 1
            await self.gate.wait()
            self.held -= 1
        if self.error is not None:
            raise self.error
        return await self._query.services(*args, **named)


class _Server(uvicorn.Server):
    """A server that leaves the process's signals alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass
class ServedPage:
    """The page on a socket. `world` is what it knows, `query` what it asks."""

    world: World
    query: WatchedQuery
    app: fastapi.FastAPI
    port: int
    counters: Counters
    _server: _Server | None = None
    _task: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    async def start(self) -> None:
        config = uvicorn.Config(
            self.app,
            host="127.0.0.1",
            port=self.port,
            log_level="error",
            timeout_graceful_shutdown=1,
            ws_per_message_deflate=False,
        )
        self._server = _Server(config)
        self._task = asyncio.create_task(self._server.serve())
        await eventually(lambda: self._server and self._server.started, what="the page is served")

    async def stop(self) -> None:
        if self._server is None or self._task is None:
            return
        self._server.should_exit = True
        await self._task
        self._server = self._task = None

    async def publish(self, points: list[RedPoint]) -> None:
        """Let points appear as the processor does, in the history and then in the live window."""
        await self.world.commit(*points)

    async def services(self) -> ServicesAnswer:
        """The answer that the page shows now."""
        return await self.world.query.services(RANGE_S, end_s=self.world.query.settled_end_s())


def served_page(settings: DashSettings | None = None, base_path: str = "") -> ServedPage:
    world = make_world()
    query = WatchedQuery(world.query)
    app = fastapi.FastAPI()

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/api/v1/services")
    async def services() -> dict[str, list[str]]:
        return {"items": []}

    counters = Counters()
    traces = TraceQuery(QuerySettings(), world.query, world.history, world.clock)
    sources = Sources(query, world.resources, world.clock, counters=counters, traces=traces)  # type: ignore[arg-type]
    mount(app, settings or SETTINGS, sources, base_path=base_path)
    return ServedPage(world, query, app, free_port(), counters)


@dataclass
class Tab:
    """One open page, and everything that it complained about or asked others for."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)

    async def open(self, url: str) -> None:
        await self.page.goto(url)

    async def text(self, selector: str) -> str:
        return (await self.page.inner_text(selector)).strip()

    async def until(self, selector: str, timeout_s: float = 60.0) -> None:
        await self.page.wait_for_selector(selector, timeout=1000 * timeout_s, state="attached")

    async def until_open(self, page: str) -> None:
        """Wait for the page of that name; one that was left and is back, for figures of now."""
        await self.until(f".place:not([data-left], [data-old]) > #page-{page}")

    async def until_filled(self) -> None:
        """Wait for the first figures, drawn."""
        await self.until_open("overview")
        await self.until("#page.has-figures")
        await self.until("#errors .bars .point, #latency .lines path")
        await self.until(".services .ag-center-cols-container .ag-row")


async def watched_tab(context: BrowserContext) -> Tab:
    """Open a tab that keeps what it complains about."""
    tab = Tab(await context.new_page())
    tab.page.on("console", lambda line: line.type in ("error", "warning") and tab.complaints.append(line.text))
    tab.page.on("pageerror", lambda error: tab.complaints.append(str(error)))
    tab.page.on("request", lambda request: _is_outside(request.url) and tab.outside.append(request.url))
    return tab


def _is_outside(url: str) -> bool:
    return not url.startswith(("http://127.0.0.1:", "data:", "blob:"))
