"""Stores of alerts on both databases, and what the tests of the room share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from storage.alert_store import AlertStore
from storage.component import build_alert_store, build_postgres_history, build_sqlite_history
from storage.history import SqlHistory
from storage.settings import StorageSettings
from telemetry import Counters
from tests.support.doubles import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def counters() -> Counters:
    return Counters()


@pytest.fixture(scope="session")
def postgres_database(postgres_process: Any) -> str:
    url: str = postgres_process.fresh_database()
    return url


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of each kind in turn."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'modelwatch.db'}"
        return
    request.getfixturevalue("postgres")
    url: str = request.getfixturevalue("postgres_database")
    engine = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")
    engine.dispose()
    yield url


def history_on(url: str, clock: Any, **settings: Any) -> SqlHistory:
    """Return a history on a database of either kind, not started."""
    build = build_sqlite_history if url.startswith("sqlite") else build_postgres_history
    return build(StorageSettings(**settings), url, now_ns=clock)


@pytest.fixture
async def history(database_url: str, clock: ManualClock) -> AsyncIterator[SqlHistory]:
    made = history_on(database_url, clock)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def store(history: SqlHistory) -> AlertStore:
    return build_alert_store(history)
