"""The implementations of the two ports, so that one suite runs on each of them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from storage.component import (
    build_in_process_live_feed,
    build_postgres_history,
    build_redis_live_feed,
    build_sqlite_history,
)
from storage.history import SqlHistory
from storage.in_process_live_feed import InProcessLiveFeed
from storage.redis_live_feed import RedisLiveFeed
from storage.settings import StorageSettings
from telemetry import Counters, NowNs


@dataclass
class Store:
    """One empty database of one kind; makes histories on it."""

    kind: str
    url: str

    def history(self, *, now_ns: NowNs = time.time_ns, **settings: Any) -> SqlHistory:
        """Return a history on this database, not started; several may run at once."""
        build = build_sqlite_history if self.kind == "sqlite" else build_postgres_history
        return build(StorageSettings(**settings), self.url, now_ns=now_ns)


@pytest.fixture
def sqlite_store(tmp_path: Path) -> Store:
    return Store("sqlite", f"sqlite:///{tmp_path / 'data' / 'modelwatch.db'}")


@pytest.fixture(scope="session")
def postgres_database(postgres_process: Any) -> str:
    url: str = postgres_process.fresh_database()
    return url


@pytest.fixture
def postgres_store(postgres: Any, postgres_database: str) -> Store:
    """Emptying one database takes milliseconds, making a new one a second."""
    engine = sqlalchemy.create_engine(postgres_database, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")
    engine.dispose()
    return Store("postgres", postgres_database)


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest) -> Store:
    """An empty store of each kind in turn."""
    found: Store = request.getfixturevalue(f"{request.param}_store")
    return found


@pytest.fixture
async def history(store: Store) -> AsyncIterator[SqlHistory]:
    """A running history on an empty store of each kind in turn."""
    made = store.history()
    await made.start()
    yield made
    await made.stop()


Feed = InProcessLiveFeed | RedisLiveFeed


@pytest.fixture
def counters() -> Counters:
    return Counters()


@pytest.fixture(params=["in_process", "redis"])
def make_feed(request: pytest.FixtureRequest, counters: Counters) -> Callable[..., Feed]:
    """Make live feeds of each kind in turn; those on Redis share one stream."""
    url = request.getfixturevalue("redis_server").url if request.param == "redis" else None

    def make(**settings: Any) -> Feed:
        wanted = StorageSettings(**settings)
        return build_redis_live_feed(wanted, url, counters) if url else build_in_process_live_feed(wanted, counters)

    return make


@pytest.fixture
async def feed(make_feed: Callable[..., Feed]) -> AsyncIterator[Feed]:
    """A running live feed of each kind in turn."""
    made = make_feed()
    await made.start()
    yield made
    await made.stop()
