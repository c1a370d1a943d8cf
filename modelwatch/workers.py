"""A receiver of several processes: this one serves nobody, keeps the workers running and adds up their figures.

The component of `modelwatch receiver --workers N`. The system deals connections out among the workers, which all listen
on the same two ports (SO_REUSEPORT).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import structlog

from modelwatch.lifecycle import STOP_TIMEOUT_S
from modelwatch.settings import Settings
from modelwatch.settings_sources import variable_of
from modelwatch.worker_process import WorkerProcess
from modelwatch.worker_reports import Report
from otlp_receiver.listening import bound_socket, require_bindable
from telemetry import Counters, Figures, RetryableError, StartError

PAUSE_MIN_S: Final = 0.2
PAUSE_MAX_S: Final = 10.0
STEADY_S: Final = 30.0
"""After a worker that ran for longer than this, the pauses begin anew."""

_log = structlog.get_logger(__name__)


@dataclass
class _Place:
    """One of the places that are filled by one process after the other."""

    number: int
    is_up: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    process: WorkerProcess | None = None

    def take(self, report: Report) -> None:
        if report.is_ready and not self.is_up.done():
            self.is_up.set_result(None)


class Workers:
    """The worker processes. A `telemetry.Component`.

    A worker that cannot start stops the whole at the start; later, when the others serve, it is tried again.
    """

    stop_timeout_s: Final = 2 * STOP_TIMEOUT_S
    """What a worker may take: it stops a receiver and an exporter, one after the other."""

    def __init__(self, settings: Settings, counters: Counters) -> None:
        self._settings = settings
        self._counters = counters
        self._places: list[_Place] = []
        self._keepers: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()
        self._reserved: list[socket.socket] = []
        self._of_the_ended = Figures()
        counters.declare("worker_restarts")
        counters.observe("workers_ready", self._count_ready)

    @property
    def grpc_port(self) -> int:
        """The port that OTLP/gRPC is served on."""
        return _port_of(self._reserved[0])

    @property
    def http_port(self) -> int:
        """The port that OTLP/HTTP is served on."""
        return _port_of(self._reserved[1])

    def checks(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """Return a check for each worker, which fails with whatever is wrong with it."""
        return {f"worker_{number}": partial(self._check, number) for number in self._numbers()}

    async def start(self) -> None:
        """Return when every worker serves both ports. Raises `StartError` if one cannot, and leaves none behind."""
        if self._keepers:
            return
        self._stopping.clear()
        try:
            settings = await self._reserve_ports()
            self._places = [_Place(number) for number in self._numbers()]
            self._keepers = [
                asyncio.create_task(self._keep(place, settings), name=f"keep worker {place.number}")
                for place in self._places
            ]
            await asyncio.gather(*(place.is_up for place in self._places))
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Have every worker finish what is in flight and end; kill those that take longer than `stop_timeout_s`."""
        self._stopping.set()
        keepers, self._keepers = self._keepers, []
        for process in self._running():
            process.terminate()
        try:
            if keepers:
                await asyncio.wait(keepers, timeout=self.stop_timeout_s - 1)
        finally:
            for place in self._places:
                if place.process is not None:
                    _log.error("a worker did not stop in time and is killed", worker=place.number)
                    place.process.kill()
            await asyncio.gather(*keepers)
            self._places = []
            for reserved in self._reserved:
                reserved.close()
            self._reserved = []

    async def figures(self) -> Figures:
        """Return the sum over the workers, asked now, and of counters over those that have ended.

        What a worker counted in the last second before it was killed is missing.
        """
        await asyncio.gather(*(process.ask() for process in self._running()), return_exceptions=True)
        now = [process.report.figures for process in self._running()]
        return Figures.sum_of([self._counters.figures(), self._of_the_ended, *now])

    async def _keep(self, place: _Place, settings: Settings) -> None:
        loop = asyncio.get_running_loop()
        attempt = 0
        while not self._stopping.is_set():
            started_at = loop.time()
            how = await self._run_one(place, settings)
            if self._stopping.is_set():
                break
            if not place.is_up.done():
                place.is_up.set_exception(StartError(how))
                break
            if loop.time() - started_at > STEADY_S:
                attempt = 0
            pause_s = min(PAUSE_MIN_S * 2**attempt, PAUSE_MAX_S)
            attempt += 1
            _log.error("a worker ended and is started again", worker=place.number, reason=how, pause_s=pause_s)
            self._counters.add("worker_restarts")
            await self._pause(pause_s)

    async def _run_one(self, place: _Place, settings: Settings) -> str:
        """Run one process in this place; return in one line why it is over."""
        try:
            place.process = process = WorkerProcess(place.number, settings)
        except OSError as error:
            return f"worker {place.number} cannot be started: {error}"
        how = await process.listen(place.take)
        self._of_the_ended = Figures.sum_of([self._of_the_ended, Figures(process.report.figures.counters)])
        place.process = None
        return process.report.start_error or f"worker {place.number} {how}: the log says why"

    async def _pause(self, pause_s: float) -> None:
        try:
            async with asyncio.timeout(pause_s):
                await self._stopping.wait()
        except TimeoutError:
            pass

    async def _check(self, number: int) -> None:
        process = next((place.process for place in self._places if place.number == number), None)
        if process is None:
            raise RetryableError("is not running")
        report = await process.ask()
        if not report.is_ready:
            raise RetryableError("is starting")
        failures = [f"{name}: {message}" for name, message in report.failures.items() if message]
        if failures:
            raise RetryableError("; ".join(failures))

    async def _reserve_ports(self) -> Settings:
        """Bind both ports without listening, for as long as the workers run; return the settings with their numbers.

        Nobody else can have the ports while no worker listens, and a free port that the system picks is one for all.
        """
        receiver = self._settings.receiver
        for name, port in {"grpc_port": receiver.grpc_port, "http_port": receiver.http_port}.items():
            setting = variable_of(("receiver", name))
            # Asked for alone first: who asks to share would get a port that other programs share.
            await require_bindable(receiver.host, port, setting)
            self._reserved.append(await bound_socket(receiver.host, port, setting, share_port=True))
        ports = {"grpc_port": self.grpc_port, "http_port": self.http_port}
        return self._settings.model_copy(update={"receiver": receiver.model_copy(update=ports)})

    def _numbers(self) -> range:
        return range(1, self._settings.receiver.workers + 1)

    def _running(self) -> list[WorkerProcess]:
        return [place.process for place in self._places if place.process is not None]

    def _count_ready(self) -> int:
        return sum(process.report.is_ready for process in self._running())


def _port_of(reserved: socket.socket) -> int:
    port: int = reserved.getsockname()[1]
    return port
