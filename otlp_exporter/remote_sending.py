"""Has a process of its own send what waits on disk, and starts it again when it ended.

Between the feeds, each of one target's queue, and `sending_process.py` on the other side of a pair of sockets. Ingest
shares an interpreter with nothing but these few lines for each batch.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, get_args

import structlog

from otlp_exporter.disk_line import Record
from otlp_exporter.sending_lines import LINE_LIMIT_BYTES, News, Series, line_of
from otlp_exporter.settings import ExporterSettings
from telemetry import Counters
from telemetry.counters import CounterName, GaugeName

_log = structlog.get_logger(__name__)

_GAUGES: Final = (
    "forward_in_hand_batches",
    "forward_is_failing",
    "forward_last_success_unix_s",
    "forward_last_failure_unix_s",
)
_COUNTERS: Final = frozenset(get_args(CounterName))
# A group of its own, so that Ctrl-C reaches the process that started it alone. Not a session: Linux would share the
# processors among those. Set by itself: what runs between a fork and its program may meet gRPC's handlers of forks.
_PROGRAM: Final = "import os; os.setpgrp(); from otlp_exporter.sending_process import main; main()"
_PAUSE_MIN_S: Final = 0.2
_PAUSE_MAX_S: Final = 10.0
_STEADY_S: Final = 30.0
_STOP_TIMEOUT_S: Final = 3.0
_SILENCE_S: Final = 30.0
"""A process says twice a second how it stands; one that does not for so long hangs, and is ended."""
_FIRST_WORD_S: Final = 120.0
"""It needs a second of a processor until it says anything, which is a while where many want one."""


def no_preparation() -> None:
    """Leave the process as it is."""


class RemoteSending:
    """A component, started before the feeds that use it."""

    def __init__(
        self,
        settings: ExporterSettings,
        data_dir: Path,
        counters: Counters,
        prepare: Callable[[], None] = no_preparation,
    ) -> None:
        self._settings = settings
        self._data_dir = data_dir
        self._counters = counters
        self._prepare = prepare
        self._silence_s = _SILENCE_S
        self._pending: dict[tuple[str, int], tuple[bytes, asyncio.Future[bool]]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._is_made = asyncio.Event()
        self._gauges: dict[Series, float] = {}
        self.pid: int | None = None
        """Of the process that sends now."""
        counters.declare("forward_process_restarts")
        for target in settings.targets:
            for name in _GAUGES:
                self._observe(name, target.name)

    async def start(self) -> None:
        """Return when the process is made; what is due until it is ready waits."""
        if self._keeper is None:
            self._is_made.clear()
            self._keeper = asyncio.create_task(self._keep(), name="keep the process that forwards")
            await self._is_made.wait()  # gRPC complains of processes that are made while it serves

    async def stop(self) -> None:
        """End the process; what it had in hand is still in its queue."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            await asyncio.wait({keeper})

    async def send(self, target: str, record: Record) -> bool:
        """Return when nothing is left to do for a record; `False` if its body cannot be read."""
        key, line = (target, record.number), line_of(target, record.number, record.place)
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._pending[key] = line, done
        if self._writer is not None:
            self._writer.write(line)
        try:
            return await done
        finally:
            self._pending.pop(key, None)

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        attempt = 0
        while True:
            started_at = loop.time()
            how = await self._run_one()
            attempt = 0 if loop.time() - started_at > _STEADY_S else attempt
            pause_s = min(_PAUSE_MIN_S * 2**attempt, _PAUSE_MAX_S)
            attempt += 1
            self._counters.add("forward_process_restarts")
            _log.error("the process that forwards ended and is started again", reason=how, pause_s=pause_s)
            await asyncio.sleep(pause_s)

    async def _run_one(self) -> str:
        """Start a process and hear it until it ended; return how it did."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                process = await self._started(theirs)
        except Exception as error:
            ours.close()
            return repr(error)
        except asyncio.CancelledError:
            ours.close()  # which ends it, if it was started
            raise
        finally:
            self._is_made.set()
        reader, writer = await asyncio.open_connection(sock=ours, limit=LINE_LIMIT_BYTES)
        try:
            for line, _ in self._pending.values():
                writer.write(line)
            self._writer, self.pid = writer, process.pid
            limit_s = _FIRST_WORD_S
            while line := await asyncio.wait_for(reader.readline(), limit_s):
                self._take(News.of_line(line))
                limit_s = self._silence_s
        except TimeoutError:
            process.kill()
            return f"it hung: no word for {limit_s:g} s"
        except (ConnectionError, ValueError):
            pass  # it was ended in the middle of a line
        finally:
            self._writer = self.pid = None
            self._gauges = {}
            writer.close()  # which tells it to end
            await _ended(process)
        return f"exit code {process.returncode}"

    async def _started(self, theirs: socket.socket) -> asyncio.subprocess.Process:
        given = pickle.dumps((self._settings, self._data_dir, self._prepare))
        process = await asyncio.create_subprocess_exec(
            # -P: what is in the working folder is not ours to import.
            *(sys.executable, "-P", "-c", _PROGRAM, str(theirs.fileno())),
            stdin=asyncio.subprocess.PIPE,
            pass_fds=[theirs.fileno()],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        assert process.stdin is not None
        process.stdin.write(given)
        process.stdin.close()
        return process

    def _take(self, news: News) -> None:
        for (name, labels), amount in news.counted.items():
            if name in _COUNTERS:
                self._counters.add(name, amount, **dict(labels))
        self._gauges.update(news.gauges)
        for target, number, is_read in news.done:
            _, done = self._pending.get((target, number), (b"", None))
            if done is not None and not done.done():
                done.set_result(is_read)

    def _observe(self, name: GaugeName, target: str) -> None:
        key = (name, (("target", target),))
        self._counters.observe(name, lambda: self._gauges.get(key, 0.0), target=target)


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Return when the process is gone, by itself or killed."""
    try:
        await asyncio.wait_for(process.wait(), _STOP_TIMEOUT_S)
    except TimeoutError:
        process.kill()
        await process.wait()
