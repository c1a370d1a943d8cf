"""Asks the processes without a database for their reports and writes them down; keeps the course of the sums.

A component of the dashboard, and of `modelwatch up`; several dashboards do the same work without harm.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

import httpx
import structlog

from query.pipeline import course_text
from self_watch.settings import SelfWatchSettings
from storage.pipeline_course import PipelineCourse
from storage.process_reports import ProcessReports
from telemetry import ModelWatchError, NowNs, ProcessReport

log = structlog.get_logger(__name__)

REPORT_PATH: Final = "/api/v1/process"
_NS_PER_MS: Final = 1_000_000
_NS_PER_S: Final = 1_000_000_000
_COURSE_EVERY_S: Final = 5.0
_TIDY_EVERY_S: Final = 600.0
_LONGEST_REPORT_BYTES: Final = 4 * 1024 * 1024


class RollCall:
    """Component. An address that does not answer is asked again in the next round; its last report grows old."""

    def __init__(
        self, settings: SelfWatchSettings, reports: ProcessReports, course: PipelineCourse, now_ns: NowNs = time.time_ns
    ) -> None:
        self._settings = settings
        self._reports = reports
        self._course = course
        self._now_ns = now_ns
        self._tasks: list[asyncio.Task[None]] = []
        self._http: httpx.AsyncClient | None = None

    async def start(self) -> None:
        """Begin."""
        if self._tasks:
            return
        self._http = httpx.AsyncClient(timeout=self._settings.address_timeout_s, trust_env=False)
        rounds: list[tuple[str, float, Callable[[], Awaitable[None]]]] = [
            ("course of the pipeline", _COURSE_EVERY_S, self._note_course),
            ("tidying of reports", _TIDY_EVERY_S, self._tidy),
        ]
        if self._settings.addresses:
            rounds.append(("roll call", self._settings.report_interval_s, self.ask_all))
        self._tasks = [asyncio.create_task(_repeat(name, every_s, work), name=name) for name, every_s, work in rounds]

    async def stop(self) -> None:
        """End at once."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        http, self._http = self._http, None
        if http is not None:
            await http.aclose()

    async def ask_all(self) -> None:
        """Ask every address once, all at the same time."""
        found = await asyncio.gather(*map(_resolved, self._settings.addresses))
        await asyncio.gather(*(self._ask(address) for addresses in found for address in addresses))

    async def _ask(self, address: str) -> None:
        assert self._http is not None
        try:
            response = await self._http.get(address + REPORT_PATH)
            response.raise_for_status()
            report = ProcessReport.from_text(response.content[: _LONGEST_REPORT_BYTES + 1])
        except (httpx.HTTPError, ValueError, OSError) as error:
            log.debug("a process does not report", address=address, reason=type(error).__name__)
            return
        await self._reports.put(replace(report, noted_ms=self._now_ns() // _NS_PER_MS, address=address))

    async def _note_course(self) -> None:
        now_ns = self._now_ns()
        text = course_text(await self._reports.read(), now_ns // _NS_PER_MS)
        if text is not None:
            await self._course.put(now_ns // _NS_PER_S, text)

    async def _tidy(self) -> None:
        now_s = self._now_ns() // _NS_PER_S
        await self._reports.forget(1000 * (now_s - self._settings.forget_after_s))
        await self._course.thin(now_s)


async def _repeat(name: str, every_s: float, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await work()
        except ModelWatchError as error:
            log.debug("not done, it will be tried again", work=name, reason=str(error))
        except Exception:
            log.exception("not done, it will be tried again", work=name)
        await asyncio.sleep(every_s)


async def _resolved(address: str) -> list[str]:
    """Return an address for each process behind the name: replicas of a container share one."""
    parts = urlsplit(address)
    if parts.scheme != "http" or not parts.hostname:
        return [address]  # a certificate is for the name
    port = parts.port or 80
    try:
        found = await asyncio.get_running_loop().getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except OSError:
        return [address]
    hosts = sorted({str(sockaddr[0]) for *_, sockaddr in found})
    if "127.0.0.1" in hosts or "::1" in hosts:
        return [address]  # one process, by whichever of its addresses it listens on
    return [f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}" for host in hosts]
