"""All that differs between SQLite and PostgreSQL; everything else in the history is one code for both.

Used by `database.py` to open and guard connections, and by the statements, which ask it how to write.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, Table, create_engine, event, text

from storage.array_writing import IS_BINARY, PostgresWriting, teach_arrays
from storage.settings import StorageSettings
from storage.table_writing import SqliteWriting, TableWriting
from telemetry import StartError

IS_WRITER: Final = "modelwatch_is_writer"
"""Execution option of connections that will write."""

_BUSY_RETRY_S: Final = 0.02
_SCHEMA_LOCK: Final = 0x6D6F64656C77  # "modelw": one advisory lock per database, taken by whoever migrates
_UPKEEP_LOCK: Final = _SCHEMA_LOCK + 1  # taken by whoever rolls up and deletes


@dataclass(frozen=True, slots=True)
class Space:
    """How large a database is, and how much more its disk can take, if that can be told."""

    database_bytes: int
    free_bytes: int | None


@dataclass(frozen=True)
class Dialect:
    """One kind of database."""

    name: str
    writing: TableWriting
    """How rows are written, any number of them in one statement."""
    ddl_words: Mapping[str, str]
    """What the migrations write differently."""
    open: Callable[[URL, StorageSettings], Engine]
    fetch: Callable[[Connection, str, Mapping[str, Any]], list[Any]]
    """Run a statement with `:name` parameters and return the driver's own tuples, the fastest there are."""
    hold_still: Callable[[Connection, Sequence[Table]], None]
    """Before the first statement of a reading transaction: keep tables from being taken away under its snapshot."""
    any_of: str
    """The condition that a column is among the results of the question in braces."""
    by_index: str
    """What follows a table's name to make it be read by the index in braces."""
    lock_schema: Callable[[Connection], None]
    """Keep other migrating processes waiting until the transaction ends."""
    interrupt: Callable[[Any], None]
    """Wake a thread that waits for an answer on this driver connection; called from another thread."""
    reading: Mapping[str, Any]
    """Execution options of connections that read."""
    try_lock_upkeep: Callable[[Connection], bool]
    """Tell whether no other process is at the duties that run once, and keep others from them until the end."""
    measure: Callable[[Connection], Space]
    is_partitioned: bool
    """Whether old rows are dropped by the partition."""
    is_remote: bool
    """Whether it may come up later than we do."""
    max_writers: int | None
    """How many writers can work at once, `None` for as many as there are."""


def make_folder(folder: Path) -> None:
    """Make the folder of a database. Raises `StartError`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StartError(
            f"the folder {folder} for the database cannot be made ({error.strerror}): "
            "set MODELWATCH_DATA_DIR or MODELWATCH_DATABASE_URL"
        ) from error


def _open_sqlite(url: URL, settings: StorageSettings) -> Engine:
    if sqlite3.sqlite_version_info < (3, 35):
        raise StartError(
            f"SQLite {sqlite3.sqlite_version} is too old, 3.35 is needed: set MODELWATCH_DATABASE_URL to PostgreSQL"
        )
    if not url.database or url.database == ":memory:":
        raise StartError("the SQLite URL names no file: set MODELWATCH_DATABASE_URL to sqlite:////folder/modelwatch.db")
    if not url.database.startswith("file:"):  # a URI of SQLite's own, whose folder is left to whoever writes one
        make_folder(Path(url.database).absolute().parent)
    engine = create_engine(
        url,
        pool_size=1 + settings.read_threads,
        max_overflow=0,
        pool_timeout=settings.lock_timeout_s,
        hide_parameters=True,
        connect_args={"timeout": settings.lock_timeout_s, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # transactions begin below, not where the driver thinks fit
        _enter_wal(connection, settings.lock_timeout_s)
        connection.execute(f"PRAGMA synchronous={settings.sqlite_synchronous}")
        connection.execute("PRAGMA cache_size=-16384")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that reads first and writes later could not wait for another writer: SQLite refuses the
        # upgrade at once. IMMEDIATE queues at the start, for up to the busy timeout.
        is_writer = connection.get_execution_options().get(IS_WRITER)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writer else "BEGIN")

    return engine


def _enter_wal(connection: sqlite3.Connection, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            # Changing the mode of a new file is the one thing that does not wait for the busy timeout.
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_BUSY_RETRY_S)
        else:
            return


def _open_postgres(url: URL, settings: StorageSettings) -> Engine:
    from psycopg.pq import Format  # of no use to whoever has SQLite

    engine = create_engine(
        url,
        pool_size=settings.write_threads + settings.read_threads,
        max_overflow=0,
        pool_timeout=settings.lock_timeout_s,
        hide_parameters=True,
        # The statements count on seeing, after waiting for a lock, what the other writer committed.
        isolation_level="READ COMMITTED",
        connect_args={"connect_timeout": settings.connect_timeout_s, "application_name": "modelwatch"},
    )

    @event.listens_for(engine, "before_cursor_execute")
    def choose_format(_connection: Any, cursor: Any, _sql: str, _values: Any, context: Any, _many: bool) -> None:
        if context is not None and context.execution_options.get(IS_BINARY):
            cursor.format = Format.BINARY

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        teach_arrays(connection)
        with connection.cursor() as cursor:
            cursor.execute(f"SET statement_timeout = {round(settings.statement_timeout_s * 1000)}")
            cursor.execute(f"SET lock_timeout = {round(settings.lock_timeout_s * 1000)}")
            cursor.execute(f"SET idle_in_transaction_session_timeout = {round(settings.answer_timeout_s * 1000)}")
        connection.commit()

    return engine


def _fetch(connection: Connection, statement: str, values: Mapping[str, Any]) -> list[Any]:
    result: Any = connection.execute(text(statement), dict(values), execution_options={IS_BINARY: True})
    rows: list[Any] = result.cursor.fetchall()
    return rows


def _hold_postgres_still(connection: Connection, tables: Sequence[Table]) -> None:
    # Taken before the snapshot: a partition that is dropped or filled from the rest afterwards would be missing from
    # it, as the planner sees the partitions of this moment and not those of the snapshot.
    names = [name for table in tables for name in (table.name, f"{table.name}_rest")]
    connection.exec_driver_sql(f"LOCK TABLE ONLY {', ONLY '.join(names)} IN ACCESS SHARE MODE")


def _lock_postgres_schema(connection: Connection) -> None:
    connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
    connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_SCHEMA_LOCK})")


def _try_lock_postgres_upkeep(connection: Connection) -> bool:
    # Held by the transaction, so that it can neither be lost before the work is undone nor outlive it.
    return bool(connection.exec_driver_sql(f"SELECT pg_try_advisory_xact_lock({_UPKEEP_LOCK})").scalar())


def _measure_postgres(connection: Connection) -> Space:
    return Space(connection.exec_driver_sql("SELECT pg_database_size(current_database())").scalar() or 0, None)


def _measure_sqlite(connection: Connection) -> Space:
    def pragma(name: str) -> int:
        return int(connection.exec_driver_sql(f"PRAGMA {name}").scalar() or 0)

    page_bytes = pragma("page_size")
    path = next(row[2] for row in connection.exec_driver_sql("PRAGMA database_list") if row[1] == "main")
    # Pages that were freed are used again before the file grows.
    free_bytes = shutil.disk_usage(Path(path).parent).free + pragma("freelist_count") * page_bytes
    return Space(pragma("page_count") * page_bytes, free_bytes)


def _interrupt_postgres(connection: Any) -> None:
    # A server that is frozen or unreachable answers no cancel request either. Shutting the socket down wakes the
    # waiting thread; the server rolls back, or has committed, which the next attempt finds out by the batch ids.
    with contextlib.suppress(Exception), socket.socket(fileno=os.dup(connection.fileno())) as twin:
        twin.shutdown(socket.SHUT_RDWR)


def _interrupt_sqlite(connection: sqlite3.Connection) -> None:
    with contextlib.suppress(sqlite3.Error):
        connection.interrupt()


SQLITE: Final = Dialect(
    name="SQLite",
    writing=SqliteWriting(),
    ddl_words=MappingProxyType(
        # A row of more than 1 KB in a table without row ids would take an overflow page of 4 KB, so those of the tiers
        # that hold many calls in one row have them.
        {
            "bytes": "BLOB",
            "rewritten_often": "WITHOUT ROWID",
            "written_once": "WITHOUT ROWID",
            "partitioned": "",
            "metrics": "WITHOUT ROWID",
        }
    ),
    open=_open_sqlite,
    fetch=_fetch,
    hold_still=lambda _connection, _tables: None,  # a transaction that reads sees one state of the whole file
    any_of="IN ({})",
    by_index=" INDEXED BY {}",
    lock_schema=lambda _connection: None,  # BEGIN IMMEDIATE holds the only write lock there is
    interrupt=_interrupt_sqlite,
    reading=MappingProxyType({IS_WRITER: False}),
    try_lock_upkeep=lambda _connection: True,  # likewise
    measure=_measure_sqlite,
    is_partitioned=False,
    is_remote=False,
    max_writers=1,
)

POSTGRES: Final = Dialect(
    name="PostgreSQL",
    writing=PostgresWriting(),
    # Free space in each page keeps the rewriting of the current bucket within the page, without new index entries.
    ddl_words=MappingProxyType(
        {
            "bytes": "BYTEA",
            "rewritten_often": "WITH (fillfactor = 70)",
            "written_once": "",
            "partitioned": "PARTITION BY RANGE (start_s)",
            "metrics": "PARTITION BY RANGE (start_s)",
        }
    ),
    open=_open_postgres,
    fetch=_fetch,
    hold_still=_hold_postgres_still,
    any_of="= ANY (ARRAY ({}))",  # an array is looked up in the index, where a join may read the whole range
    by_index="",
    lock_schema=_lock_postgres_schema,
    interrupt=_interrupt_postgres,
    # One snapshot for all statements of a reading.
    reading=MappingProxyType({IS_WRITER: False, "isolation_level": "REPEATABLE READ", "postgresql_readonly": True}),
    try_lock_upkeep=_try_lock_postgres_upkeep,
    measure=_measure_postgres,
    is_partitioned=True,
    is_remote=True,
    max_writers=None,
)
