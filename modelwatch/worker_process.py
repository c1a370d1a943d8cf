"""A worker process as its parent sees it: started, listened to, asked, ended.

Made by `workers`, one after the other for each of its places; what runs inside is `worker`.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
import socket
from collections.abc import Callable
from multiprocessing import resource_tracker
from typing import Final

from modelwatch.settings import Settings
from modelwatch.worker import run_worker
from modelwatch.worker_reports import LINE_LIMIT_BYTES, Report
from telemetry import RetryableError

ANSWER_TIMEOUT_S: Final = 1.0
_LINGER_S: Final = 5.0
"""How long a process may take to end once it has closed its end of the channel."""


class WorkerProcess:
    """A process that has just been started. `report` is the last that it sent. Raises `OSError` if none can be had."""

    def __init__(self, number: int, settings: Settings) -> None:
        self._channel, theirs = socket.socketpair()
        with theirs:
            self._process = multiprocessing.get_context("spawn").Process(
                target=run_worker, args=(number, settings, theirs), name=f"modelwatch receiver, worker {number}"
            )
            self._writer: asyncio.StreamWriter | None = None
            self._has_news = asyncio.Condition()
            self._asked = 0
            self.report = Report()
            try:
                self._start()
            except BaseException:
                self._channel.close()
                raise

    @property
    def pid(self) -> int | None:
        return self._process.pid

    async def listen(self, on_report: Callable[[Report], None]) -> str:
        """Take its reports until it has ended; return how it ended."""
        reader, self._writer = await asyncio.open_connection(sock=self._channel, limit=LINE_LIMIT_BYTES)
        try:
            while line := await reader.readline():
                if not line.endswith(b"\n"):
                    break  # it was ended in the middle of a report
                self.report = Report.from_line(line)
                on_report(self.report)
                async with self._has_news:
                    self._has_news.notify_all()
        except (ConnectionError, ValueError):
            pass  # it ended with a question unread, or what it says is no report
        finally:
            self._writer.close()
        return await self._end()

    async def ask(self) -> Report:
        """Return how it is now. Raises `RetryableError` if it does not say so in time."""
        if self._writer is None or self._writer.is_closing():
            raise RetryableError("is starting")
        self._asked += 1
        question = self._asked
        self._writer.write(b"%d\n" % question)
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S), self._has_news:
                await self._has_news.wait_for(lambda: self.report.answers >= question)
        except TimeoutError:
            raise RetryableError(f"has not answered within {ANSWER_TIMEOUT_S:g} s") from None
        return self.report

    def terminate(self) -> None:
        """Ask it to finish what is in flight and to end."""
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()

    def _start(self) -> None:
        # Ctrl-C on a terminal reaches every process; only the parent is to act on it, and a blocked signal stays
        # blocked in a process that is started meanwhile. The first start would unblock it for its tracker.
        resource_tracker.ensure_running()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    async def _end(self) -> str:
        loop, sentinel = asyncio.get_running_loop(), self._process.sentinel
        is_gone = asyncio.Event()
        loop.add_reader(sentinel, is_gone.set)
        try:
            async with asyncio.timeout(_LINGER_S):
                await is_gone.wait()
        except TimeoutError:
            self._process.kill()
            await is_gone.wait()
        finally:
            loop.remove_reader(sentinel)
        self._process.join()
        code = self._process.exitcode or 0
        self._process.close()
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
