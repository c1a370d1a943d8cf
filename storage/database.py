"""One database, reached from asyncio: blocking calls in threads of its own, errors translated, waits bounded.

The only place that knows both the driver and the event loop; the history gives it jobs to run within a transaction.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import structlog
from sqlalchemy import URL, Connection, Engine
from sqlalchemy import exc as sql_errors

from storage.dialects import IS_WRITER, Dialect
from storage.ports import StorageUnavailableError
from storage.settings import StorageSettings
from telemetry import PermanentError

log = structlog.get_logger(__name__)

Result = TypeVar("Result")
_CLOSE_TIMEOUT_S = 5.0
_WAKE_TIMEOUT_S = 1.0


class _Run:
    """One job in its thread; `connection` is the driver's, while the job has one."""

    __slots__ = ("connection",)

    def __init__(self) -> None:
        self.connection: Any = None


class Database:
    """Threads and connections to one database, between `open` and `close`."""

    def __init__(self, dialect: Dialect, url: URL, settings: StorageSettings) -> None:
        self.dialect = dialect
        self.address = url.render_as_string(hide_password=True)
        self._url = url
        self._settings = settings
        self._engine: Engine | None = None
        self._readers: ThreadPoolExecutor | None = None
        self._writers: ThreadPoolExecutor | None = None
        self._runs: dict[Future[Any], _Run] = {}

    @property
    def is_open(self) -> bool:
        """Whether jobs can be run."""
        return self._engine is not None

    def open(self) -> None:
        """Make threads and pools; connects only when a job needs it. Raises `StartError` for an impossible address."""
        self._engine = self.dialect.open(self._url, self._settings)
        writers = min(self._settings.write_threads, self.dialect.max_writers or self._settings.write_threads)
        self._writers = ThreadPoolExecutor(writers, thread_name_prefix="history-write")
        self._readers = ThreadPoolExecutor(self._settings.read_threads, thread_name_prefix="history-read")

    async def close(self) -> None:
        """Let running jobs end, wake those that do not, and close every connection."""
        engine, readers, writers = self._engine, self._readers, self._writers
        self._engine = self._readers = self._writers = None
        if engine is None or readers is None or writers is None:
            return
        for executor in (readers, writers):
            executor.shutdown(wait=False, cancel_futures=True)
        await self._settle(_CLOSE_TIMEOUT_S)
        for run in list(self._runs.values()):
            self._interrupt(run)
        await self._settle(_WAKE_TIMEOUT_S)
        for executor in (readers, writers):
            # Idle threads end at once; waiting for a stuck one would break the promise to stop in bounded time.
            executor.shutdown(wait=not self._runs)
        engine.dispose()

    async def read(self, job: Callable[[Connection], Result]) -> Result:
        """Run `job` in a transaction that only reads and return its result."""
        return await self._run(self._readers, job, is_writer=False, timeout_s=self._settings.answer_timeout_s)

    async def write(self, job: Callable[[Connection], Result], timeout_s: float | None = None) -> Result:
        """Run `job` in a transaction, commit, and return its result.

        Raises `StorageUnavailableError` when the outcome is anything but a known success. What `job` raises of its own
        rolls back and comes through.
        """
        return await self._run(
            self._writers, job, is_writer=True, timeout_s=timeout_s or self._settings.answer_timeout_s
        )

    async def _run(
        self,
        executor: ThreadPoolExecutor | None,
        job: Callable[[Connection], Result],
        *,
        is_writer: bool,
        timeout_s: float,
    ) -> Result:
        if executor is None or self._engine is None:
            raise StorageUnavailableError(f"the history is not running: {self.address}")
        run = _Run()
        work = executor.submit(self._in_transaction, self._engine.execution_options(**{IS_WRITER: is_writer}), job, run)
        self._runs[work] = run
        work.add_done_callback(lambda done: self._runs.pop(done, None))
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.wrap_future(work)
        except TimeoutError as error:
            self._interrupt(run)
            raise StorageUnavailableError(
                f"{self.dialect.name} gave no answer within {timeout_s:g} s: see whether {self.address} is well"
            ) from error

    def _in_transaction(self, engine: Engine, job: Callable[[Connection], Result], run: _Run) -> Result:
        with self._translated_errors(), engine.connect() as connection:
            run.connection = connection.connection.driver_connection
            try:
                with connection.begin():
                    return job(connection)
            finally:
                run.connection = None

    def _interrupt(self, run: _Run) -> None:
        if run.connection is not None:
            self.dialect.interrupt(run.connection)

    async def _settle(self, timeout_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await asyncio.gather(*map(asyncio.wrap_future, list(self._runs)), return_exceptions=True)

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
