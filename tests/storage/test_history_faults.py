"""What a history does when its database is gone, silent, locked or wrong."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from storage.component import build_postgres_history, build_sqlite_history
from storage.history import SqlHistory
from storage.ports import AlreadyCommittedError, SeriesFilter, StorageUnavailableError
from storage.settings import StorageSettings
from telemetry import StartError
from tests.support.cutting_proxy import CuttingProxy
from tests.support.ports import free_port
from tests.support.red_points import random_points, red_point, totals_of
from tests.support.waiting import eventually

EVERYTHING = SeriesFilter()


async def total_calls(history: SqlHistory) -> int:
    return sum(point.calls for point in await history.read(0, 2**40, EVERYTHING))


async def commit_until_kept(history: SqlHistory, batch_id: bytes, points: Any) -> None:
    """Commit as the processor does: try again after a failure, stop when the batch is known."""

    async def is_kept() -> bool:
        try:
            await history.commit([batch_id], points)
        except StorageUnavailableError:
            return False
        except AlreadyCommittedError:
            pass
        return True

    await eventually(is_kept, timeout_s=30)


async def test_a_killed_postgres_refuses_everything_and_is_used_again_when_back(
    postgres: Any, postgres_store: Any
) -> None:
    """Each call raises `StorageUnavailableError` without delay; nothing of it was kept; afterwards all goes on."""
    history = postgres_store.history()
    await history.start()
    await history.commit([b"first".ljust(16)], [red_point()])
    postgres.kill()
    calls: list[Callable[[], Awaitable[Any]]] = [
        lambda: history.commit([b"second".ljust(16)], [red_point(calls=2)]),
        lambda: history.read(0, 2**40, EVERYTHING),
        history.oldest_s,
        history.check,
    ]
    for call in calls:
        with pytest.raises(StorageUnavailableError):
            await call()
    postgres.start()
    await history.commit([b"second".ljust(16)], [red_point(calls=2)])
    assert await total_calls(history) == 3
    await history.stop()


async def test_commits_under_way_when_postgres_is_killed_count_once_after_trying_again(
    postgres: Any, postgres_store: Any
) -> None:
    """Whatever moment the kill hits, trying each batch again until it is kept ends in exact totals."""
    history = postgres_store.history()
    await history.start()
    parts = {os.urandom(16): random_points(seed, 40) for seed in range(40)}
    commits = [asyncio.create_task(commit_until_kept(history, *part)) for part in parts.items()]
    await eventually(lambda: sum(commit.done() for commit in commits) >= 5)
    postgres.kill()
    postgres.start()
    await asyncio.gather(*commits)
    points = [point for part in parts.values() for point in part]
    assert totals_of(await history.read(0, 2**40, EVERYTHING)) == totals_of(points, 10)
    await history.stop()


async def test_a_connection_lost_during_the_commit_is_told_by_the_batch_id(postgres: Any, postgres_store: Any) -> None:
    """The server commits, the answer is lost: unavailable, and the next attempt finds the batch there."""
    async with CuttingProxy(postgres.port) as proxy:
        store = replace(postgres_store, url=postgres_store.url.replace(f":{postgres.port}/", f":{proxy.port}/"))
        history = store.history()
        await history.start()
        proxy.cut_after = b"COMMIT\0"  # not the BEGIN, which says "READ COMMITTED"
        with pytest.raises(StorageUnavailableError):
            await history.commit([b"unknown".ljust(16)], [red_point()])
        assert proxy.cuts == 1
        with pytest.raises(AlreadyCommittedError):
            await history.commit([b"unknown".ljust(16)], [red_point()])
        assert await total_calls(history) == 1
        await history.stop()


async def test_a_frozen_postgres_is_given_up_in_time_and_nothing_counts_twice(
    postgres: Any, postgres_store: Any
) -> None:
    """A server that accepts and never answers ends in `StorageUnavailableError`; threads are woken, not lost."""
    history = postgres_store.history(answer_timeout_s=0.5, lock_timeout_s=0.4, write_threads=1)
    await history.start()
    await history.check()
    postgres.freeze()
    for _ in range(3):
        started = time.monotonic()
        with pytest.raises(StorageUnavailableError, match=r"no answer within 0\.5 s|unavailable"):
            await history.commit([b"frozen".ljust(16)], [red_point()])
        assert time.monotonic() - started < 2
    postgres.thaw()
    await commit_until_kept(history, b"frozen".ljust(16), [red_point()])
    assert await total_calls(history) == 1
    await history.stop()


async def test_a_history_on_a_frozen_postgres_stops_in_bounded_time(postgres: Any, postgres_store: Any) -> None:
    """A job that waits for ever is interrupted at stop; no thread is left."""
    history = postgres_store.history(stop_timeout_s=0.3, connect_timeout_s=1)
    await history.start()
    await history.check()
    postgres.freeze()
    attempt = asyncio.create_task(history.commit([], [red_point()]))
    await asyncio.sleep(0.1)  # time for the job to be in its thread; earlier would be fine, only less of a test
    started = time.monotonic()
    await history.stop()
    assert time.monotonic() - started < 3
    with pytest.raises(StorageUnavailableError):
        await attempt
    postgres.thaw()


async def test_a_postgres_that_only_reads_refuses_commits_as_unavailable(postgres_store: Any) -> None:
    """A read-only database, as a standby is, is a reason to try again later."""
    history = postgres_store.history()
    await history.start()
    await history.stop()
    engine = sqlalchemy.create_engine(postgres_store.url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"ALTER DATABASE {engine.url.database} SET default_transaction_read_only = on")
        await history.start()
        with pytest.raises(StorageUnavailableError, match="read-only"):
            await history.commit([], [red_point()])
        assert await total_calls(history) == 0
        connection.exec_driver_sql(f"ALTER DATABASE {engine.url.database} RESET default_transaction_read_only")
    engine.dispose()
    await history.stop()


async def test_a_lock_held_elsewhere_is_waited_for_and_then_given_up(store: Any) -> None:
    """A writer that holds everything for long makes commits unavailable, not stuck; reading goes on."""
    history = store.history(lock_timeout_s=0.3)
    await history.start()
    engine = sqlalchemy.create_engine(store.url)
    with engine.connect() as other:
        if store.kind == "sqlite":
            other.exec_driver_sql("PRAGMA user_version")
            other.connection.driver_connection.execute("BEGIN IMMEDIATE")  # type: ignore[union-attr]
        else:
            other.exec_driver_sql("LOCK TABLE red_points IN SHARE MODE")
        with pytest.raises(StorageUnavailableError, match="lock"):
            await history.commit([b"locked".ljust(16)], [red_point()])
        assert await total_calls(history) == 0
        other.rollback()
    engine.dispose()
    await history.commit([b"locked".ljust(16)], [red_point()])
    assert await total_calls(history) == 1
    await history.stop()


async def start_error(start: Callable[[], Coroutine[Any, Any, None]]) -> str:
    with pytest.raises(StartError) as raised:
        await start()
    message = str(raised.value)
    assert "\n" not in message
    return message


async def test_the_folder_of_the_sqlite_file_is_made(tmp_path: Path) -> None:
    """A data directory that does not exist yet is no obstacle."""
    history = build_sqlite_history(StorageSettings(), f"sqlite:///{tmp_path}/a/b/modelwatch.db")
    await history.start()
    await history.stop()
    assert (tmp_path / "a" / "b" / "modelwatch.db").exists()


async def test_a_folder_that_cannot_be_made_stops_the_start(tmp_path: Path) -> None:
    """The one line names the folder and the settings."""
    (tmp_path / "file").write_text("in the way")
    history = build_sqlite_history(StorageSettings(), f"sqlite:///{tmp_path}/file/modelwatch.db")
    message = await start_error(history.start)
    assert f"{tmp_path}/file" in message
    assert "MODELWATCH_DATA_DIR" in message


@pytest.mark.parametrize("obstacle", ["folder", "no database", "read-only"])
async def test_a_file_that_cannot_be_used_stops_the_start(tmp_path: Path, obstacle: str) -> None:
    """A folder in the file's place, a file of something else, and a database of which nothing may be written."""
    path = tmp_path / "modelwatch.db"
    url = f"sqlite:///{path}"
    if obstacle == "folder":
        path.mkdir()
    elif obstacle == "no database":
        path.write_bytes(b"these are not the bytes of a database " * 100)
    else:
        sqlite3.connect(path).close()
        url = f"sqlite:///file:{path}?mode=ro&uri=true"
    message = await start_error(build_sqlite_history(StorageSettings(), url).start)
    assert "MODELWATCH_DATABASE_URL" in message


async def test_a_sqlite_url_without_a_file_stops_the_start() -> None:
    """A database in memory would break the promise of durability."""
    assert "names no file" in await start_error(build_sqlite_history(StorageSettings(), "sqlite://").start)


async def test_a_postgres_that_never_answers_stops_the_start_without_telling_the_password() -> None:
    """The start waits `start_timeout_s` and then says what did not answer."""
    url = f"postgresql+psycopg://user:very-secret@127.0.0.1:{free_port()}/nothing"
    history = build_postgres_history(StorageSettings(start_timeout_s=0.6), url)
    message = await start_error(history.start)
    assert "MODELWATCH_DATABASE_URL" in message
    assert "very-secret" not in message


async def test_a_postgres_that_comes_up_later_is_waited_for(postgres: Any, postgres_store: Any) -> None:
    """Processes may be started in any order."""
    postgres.kill()
    history = postgres_store.history()
    start = asyncio.create_task(history.start())
    await asyncio.sleep(0.3)  # long enough for at least one refused attempt
    assert not start.done()
    postgres.start()
    await start
    await history.check()
    await history.stop()


def test_an_unreadable_url_is_a_start_error_that_does_not_repeat_it() -> None:
    """A URL may hold a password, also a mistyped one."""
    with pytest.raises(StartError, match="MODELWATCH_DATABASE_URL") as raised:
        build_postgres_history(StorageSettings(), "postgresql very-secret")
    assert "very-secret" not in str(raised.value)
