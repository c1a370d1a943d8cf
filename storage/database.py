"""One database, reached from asyncio: blocking calls in threads of its own, errors translated, waits bounded.

The only place that knows both the driver and the event loop; the history gives it jobs to run within a transaction.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
from sqlalchemy import URL, Connection, Engine
from sqlalchemy import exc as sql_errors

from storage.dialects import IS_WRITER, Dialect
from storage.ports import StorageUnavailableError
from storage.runs import Run, Runs
from storage.settings import StorageSettings
from telemetry import PermanentError

log = structlog.get_logger(__name__)

Result = TypeVar("Result")
_WAKE_TIMEOUT_S = 1.0


@dataclass(frozen=True, slots=True)
class _Opened:
    """What exists while the database is open."""

    reading: Engine
    writing: Engine
    runs: Runs
    readers: ThreadPoolExecutor
    writers: ThreadPoolExecutor


class Database:
    """Threads and connections to one database, between `open` and `close`."""

    def __init__(self, dialect: Dialect, url: URL, settings: StorageSettings) -> None:
        self.dialect = dialect
        # The query goes as well: psycopg takes a password from there too.
        self.address = url.set(query={}).render_as_string(hide_password=True)
        self._url = url
        self._settings = settings
        self._opened: _Opened | None = None
        self._running: dict[Future[Any], Run] = {}

    @property
    def is_open(self) -> bool:
        """Whether jobs can be run."""
        return self._opened is not None

    def open(self) -> None:
        """Make threads and pools; connects only when a job needs it. Raises `StartError` for an impossible address."""
        engine = self.dialect.open(self._url, self._settings)
        writers = min(self._settings.write_threads, self.dialect.max_writers or self._settings.write_threads)
        self._opened = _Opened(
            engine.execution_options(**self.dialect.reading),
            engine.execution_options(**{IS_WRITER: True}),
            Runs(engine, tests_connections=self.dialect.is_remote),
            readers=ThreadPoolExecutor(self._settings.read_threads, thread_name_prefix="history-read"),
            writers=ThreadPoolExecutor(writers, thread_name_prefix="history-write"),
        )

    async def close(self) -> None:
        """Let running jobs end, wake those that do not, and close every connection."""
        opened, self._opened = self._opened, None
        if opened is None:
            return
        for executor in (opened.readers, opened.writers):
            executor.shutdown(wait=False, cancel_futures=True)
        await self._settle(self._settings.stop_timeout_s)
        for run in list(self._running.values()):
            self._interrupt(run)
        await self._settle(_WAKE_TIMEOUT_S)
        for executor in (opened.readers, opened.writers):
            # Idle threads end at once; waiting for a stuck one would break the promise to stop in bounded time.
            executor.shutdown(wait=not self._running)
        opened.writing.dispose()

    async def read(self, job: Callable[[Connection], Result], timeout_s: float | None = None) -> Result:
        """Run `job` in a transaction that only reads and return its result."""
        return await self._run(job, is_writer=False, timeout_s=timeout_s or self._settings.answer_timeout_s)

    async def write(self, job: Callable[[Connection], Result], timeout_s: float | None = None) -> Result:
        """Run `job` in a transaction, commit, and return its result.

        Raises `StorageUnavailableError` when the outcome is anything but a known success. What `job` raises of its own
        rolls back and comes through.
        """
        return await self._run(job, is_writer=True, timeout_s=timeout_s or self._settings.answer_timeout_s)

    async def _run(self, job: Callable[[Connection], Result], *, is_writer: bool, timeout_s: float) -> Result:
        opened = self._opened
        if opened is None:
            raise StorageUnavailableError(f"the history is not running: {self.address}")
        run = Run()
        executor = opened.writers if is_writer else opened.readers
        work = executor.submit(self._in_transaction, opened, job, run, is_writer=is_writer)
        self._running[work] = run
        work.add_done_callback(lambda done: self._running.pop(done, None))
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.wrap_future(work)
        except TimeoutError as error:
            self._interrupt(run)
            raise StorageUnavailableError(
                f"{self.dialect.name} gave no answer within {timeout_s:g} s: see whether {self.address} is well"
            ) from error

    def _in_transaction(
        self, opened: _Opened, job: Callable[[Connection], Result], run: Run, *, is_writer: bool
    ) -> Result:
        engine = opened.writing if is_writer else opened.reading
        with self._translated_errors(), opened.runs.tracked(run), engine.begin() as connection:
            return job(connection)

    def _interrupt(self, run: Run) -> None:
        if run.connection is not None:
            self.dialect.interrupt(run.connection)

    async def _settle(self, timeout_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await asyncio.gather(*map(asyncio.wrap_future, list(self._running)), return_exceptions=True)

    @contextlib.contextmanager
    def _translated_errors(self) -> Iterator[None]:
        try:
            yield
        except (sql_errors.DataError, OverflowError) as error:
            raise PermanentError(f"{self.dialect.name} refuses the data itself: {_first_line(error)}") from error
        except (sql_errors.SQLAlchemyError, OSError) as error:
            raise StorageUnavailableError(
                f"{self.dialect.name} is unavailable: {_first_line(error)} ({self.address})"
            ) from error


def _first_line(error: BaseException) -> str:
    cause = getattr(error, "orig", None) or error
    return next(iter(str(cause).strip().splitlines()), type(cause).__name__)
