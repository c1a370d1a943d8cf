"""One worker of a receiver of several processes: its own event loop, receiver, exporter and spill.

Started by `worker_process` with the spawn method. It ends when it is told to, and when its parent is gone.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from socket import socket
from typing import Final

import uvloop

from api.health import CHECK_TIMEOUT_S, Checks, run_checks
from modelwatch import logs
from modelwatch.assembly import assemble_worker
from modelwatch.garbage import calm_garbage_collection
from modelwatch.lifecycle import run_until_signal
from modelwatch.settings import Settings
from modelwatch.worker_reports import LINE_LIMIT_BYTES, Report
from telemetry import Counters, Figures, StartError

REPORT_EVERY_S: Final = 1.0
EXIT_CANNOT_START: Final = 2


def run_worker(number: int, settings: Settings, channel: socket) -> None:
    """Run in a fresh process until SIGTERM or the end of `channel`; the ports in `settings` are shared with others."""
    logs.configure(settings.log, worker=number)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.exit(runner.run(_run(settings, channel)))


async def _run(settings: Settings, channel: socket) -> int:
    reader, writer = await asyncio.open_connection(sock=channel, limit=LINE_LIMIT_BYTES)
    reporter = Reporter(reader, writer)
    try:
        made = assemble_worker(settings)
        reporter.watch(made.counters, made.checks)
        calm_garbage_collection()
        await run_until_signal(
            [*made.components, reporter], "worker is ready", made.addresses, ended=reporter.is_to_end
        )
    except StartError as error:
        await reporter.close(start_error=str(error))
        return EXIT_CANNOT_START
    await reporter.close()
    return 0


class Reporter:
    """Reports once a second and whenever the parent asks.

    A component, the last to be started: what it then says is that the worker is ready.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._read_figures: Callable[[], Figures] = Figures
        self._checks: Checks = {}
        self._is_ready = False
        self._answers = 0
        self.is_to_end = asyncio.Event()
        """Set when the parent is gone."""
        self._listening = asyncio.create_task(self._listen(), name="report to the parent process")

    def watch(self, counters: Counters, checks: Checks) -> None:
        """Report these from now on."""
        self._read_figures, self._checks = counters.figures, checks

    async def start(self) -> None:
        self._is_ready = True
        await self._send()

    async def stop(self) -> None:
        self._is_ready = False

    async def close(self, start_error: str = "") -> None:
        """Send the last report, so that nothing that was counted is missing, and end."""
        self._listening.cancel()
        await asyncio.wait({self._listening})
        try:
            await self._send(start_error)
            self._writer.close()
            await self._writer.wait_closed()
        except ConnectionError:
            pass  # there is nobody to report to

    async def _listen(self) -> None:
        try:
            while await self._is_asked_or_due():
                await self._send()
        except ConnectionError:
            pass  # the parent is gone with a report unread
        self.is_to_end.set()

    async def _is_asked_or_due(self) -> bool:
        """Wait for a question, but not for longer than until the next report is due; return `False` at the end."""
        try:
            async with asyncio.timeout(REPORT_EVERY_S):
                question = await self._reader.readline()
        except TimeoutError:
            return True
        if question:
            self._answers = int(question)
        return bool(question)

    async def _send(self, start_error: str = "") -> None:
        answers = self._answers
        failures = await run_checks(self._checks, CHECK_TIMEOUT_S)
        report = Report(self._is_ready, answers, self._read_figures(), failures, start_error)
        self._writer.write(report.to_line())
        await self._writer.drain()
