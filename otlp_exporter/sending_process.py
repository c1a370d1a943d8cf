"""The process that compresses, encrypts and sends in the embedded size, with less right to a processor than ingest.

Started by `remote_sending.py`, which tells it what is due; it reads bodies from the disk and never writes there but for
what targets refuse. It ends when the process that started it does.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from pathlib import Path
from socket import socket
from typing import Any, Final

import structlog
import uvloop

from otlp_exporter.component import build_deliveries
from otlp_exporter.delivery import Delivery
from otlp_exporter.disk_files import FOLDER, Place, read_batch
from otlp_exporter.disk_reading import read_patiently
from otlp_exporter.sending_lines import LINE_LIMIT_BYTES, News, Series, due_of
from otlp_exporter.settings import ExporterSettings
from telemetry import Batch, Counters, StartError

_log = structlog.get_logger(__name__)

_TELL_EVERY_S: Final = 0.5
_TELL_TOGETHER_S: Final = 0.01
"""What is done within it is told at once: each telling wakes the process that takes data in."""
_EXIT_CANNOT_START: Final = 2


def main() -> None:
    """Run in a fresh process until the end of the channel whose descriptor is the argument.

    On standard input it is given settings, data folder, and a function that prepares the process, as for its logs.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # sent to all of a service: the other process says when to end
    given = sys.stdin.buffer.read()
    if not given:
        return  # nobody is there any more
    settings: ExporterSettings
    prepare: Callable[[], None]
    settings, data_dir, prepare = pickle.loads(given)
    prepare()
    with suppress(OSError):
        os.nice(settings.niceness)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.exit(runner.run(_run(settings, data_dir, socket(fileno=int(sys.argv[1])))))


async def _run(settings: ExporterSettings, data_dir: Path, channel: socket) -> int:
    counters = Counters()
    try:
        deliveries = build_deliveries(settings, counters, data_dir)
    except StartError as error:
        _log.error("cannot forward", reason=str(error))
        return _EXIT_CANNOT_START
    reader, writer = await asyncio.open_connection(sock=channel, limit=LINE_LIMIT_BYTES)
    sending = Sending({one.target.name: one for one in deliveries}, counters, data_dir, writer)
    telling = asyncio.create_task(sending.tell(), name="tell what was sent")
    try:
        while line := await reader.readline():
            sending.take(*due_of(line))
    except (ConnectionError, ValueError):
        pass  # it ended amid a line
    telling.cancel()
    await sending.stop()
    writer.close()
    return 0


class Sending:
    """What is under way in this process."""

    def __init__(
        self, deliveries: Mapping[str, Delivery], counters: Counters, data_dir: Path, writer: asyncio.StreamWriter
    ) -> None:
        self._deliveries = deliveries
        self._counters = counters
        self._folder = data_dir / FOLDER
        self._writer = writer
        self._tasks: set[asyncio.Task[None]] = set()
        self._done: list[tuple[str, int, bool]] = []
        self._has_news = asyncio.Event()
        self._told: dict[Series, int] = {}

    def take(self, target: str, number: int, place: Place) -> None:
        """Begin to send a record. Its body is read here and now, so that each target's stay in their order."""
        sending: Coroutine[Any, Any, None]
        try:
            batch = read_batch(self._folder, place)
        except OSError:
            sending = self._send_later(target, number, place)
        else:
            if batch is None:
                self._note(target, number, is_read=False)
                return
            sending = self._deliveries[target].deliver(batch)
        task = asyncio.create_task(sending, name=f"forward a batch to {target}")
        self._tasks.add(task)
        task.add_done_callback(lambda ended: self._end(ended, target, number))

    async def tell(self) -> None:
        """Tell at once what is done, and now and then how it stands."""
        gauges_at_s = 0.0
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._has_news.wait(), _TELL_EVERY_S)
                await asyncio.sleep(_TELL_TOGETHER_S)
            self._has_news.clear()
            done, self._done = self._done, []
            now: dict[Series, int] = dict(self._counters.snapshot())
            counted = {
                key: value - self._told.get(key, 0) for key, value in now.items() if value != self._told.get(key)
            }
            self._told = now
            gauges: dict[Series, float] = {}
            if time.monotonic() >= gauges_at_s:
                gauges_at_s = time.monotonic() + _TELL_EVERY_S
                gauges = dict(self._counters.gauges())
            self._writer.write(News(done, counted, gauges).to_line())
            try:
                await self._writer.drain()
            except ConnectionError:
                return  # who would hear it is gone, which ends this process

    async def stop(self) -> None:
        """Give up what is under way: it is still in its queue."""
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        for delivery in self._deliveries.values():
            await delivery.close()

    async def _send_later(self, target: str, number: int, place: Place) -> None:
        async def read() -> Batch | None:
            return read_batch(self._folder, place)

        batch = await read_patiently(read)
        if batch is None:
            self._note(target, number, is_read=False)  # and what is noted afterwards finds nobody who waits
        else:
            await self._deliveries[target].deliver(batch)

    def _end(self, task: asyncio.Task[None], target: str, number: int) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is None:
            self._note(target, number, is_read=True)

    def _note(self, target: str, number: int, *, is_read: bool) -> None:
        self._done.append((target, number, is_read))
        self._has_news.set()
