"""PostgreSQL is there and refuses: messages stay queued, attempts stay few, and all goes on when it takes them."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import pytest_asyncio

from telemetry.queues import DEAD_LETTER_QUEUE
from tests.faults.conftest import _running_rig
from tests.support.deliveries import declare_queues, deliveries
from tests.support.fault_rig import Rig
from tests.support.servers import PrivateServer
from tests.support.small_disk import small_disk
from tests.support.waiting import eventually

TROUBLE_S = 2.0
RETRY_MIN_S, RETRY_MAX_S = 0.3, 1.0
MESSAGES = 50
SETTINGS = {
    "MODELWATCH_RABBIT_SOURCE__RETRY_MIN_S": str(RETRY_MIN_S),
    "MODELWATCH_RABBIT_SOURCE__RETRY_MAX_S": str(RETRY_MAX_S),
    "MODELWATCH_STORAGE__LOCK_TIMEOUT_S": "0.5",
    "MODELWATCH_STORAGE__STATEMENT_TIMEOUT_S": "0.8",
}

Connect = Callable[[], psycopg.Connection[Any]]


@contextmanager
def standby(postgres: Any, connect: Connect) -> Iterator[str]:
    """The server comes back as a standby, which only reads, and is promoted in the end."""
    postgres.stop()
    signal = postgres.directory / "data" / "standby.signal"
    signal.touch()
    shutil.chown(signal, signal.parent.owner())
    postgres.start()
    try:
        yield "read-only|read-write"
    finally:
        with connect() as connection:
            connection.execute("SELECT pg_promote()")


@contextmanager
def locked(_postgres: Any, connect: Connect) -> Iterator[str]:
    """Somebody else holds a lock that every commit needs, for longer than a commit waits for one."""
    with connect() as connection, connection.transaction():
        connection.execute("LOCK TABLE red_points IN EXCLUSIVE MODE")
        yield "lock timeout"


@contextmanager
def slow(_postgres: Any, connect: Connect) -> Iterator[str]:
    """Every statement that writes points takes longer than a statement may."""
    with connect() as connection:
        connection.execute(
            "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(2); RETURN NEW; END'"
        )
        connection.execute("CREATE TRIGGER dawdle BEFORE INSERT ON batches EXECUTE FUNCTION dawdle()")
        try:
            yield "statement timeout"
        finally:
            connection.execute("DROP TRIGGER dawdle ON batches")
            connection.execute("DROP FUNCTION dawdle")


@contextmanager
def crowded(_postgres: Any, connect: Connect) -> Iterator[str]:
    """Other clients hold every connection that the server has."""
    held: list[psycopg.Connection[Any]] = []
    with connect() as connection:
        (limit,) = connection.execute("SHOW max_connections").fetchone() or ("0",)
        try:
            for _ in range(3):  # what is ended makes room for which the processor competes
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend' AND application_name <> 'crowd'"
                )
                with contextlib.suppress(psycopg.OperationalError):
                    for _ in range(int(limit)):
                        held.append(connect())
                        held[-1].execute("SET application_name = 'crowd'")
            yield "too many clients"
        finally:
            for one in held:
                one.close()


@contextmanager
def full(postgres: Any, connect: Connect) -> Iterator[str]:
    """The disk that the current points are on has no byte left."""
    folder = postgres.directory / "small"
    with small_disk(folder, 8 * 2**20), connect() as connection:
        if not folder.is_mount():
            pytest.skip("no small disk can be mounted here")
        shutil.chown(folder, postgres.directory.owner())
        connection.execute(f"CREATE TABLESPACE small LOCATION '{folder}'")
        try:
            move_points(connection, "small")
            fill(folder / "filler")
            yield "No space left on device"
        finally:
            (folder / "filler").unlink(missing_ok=True)
            move_points(connection, "pg_default")
            connection.execute("DROP TABLESPACE small")


def move_points(connection: psycopg.Connection[Any], tablespace: str) -> None:
    """Move the points of the finest tier to another disk."""
    tables = connection.execute(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'red_points'::regclass"
    )
    for (table,) in tables.fetchall():
        if not table.endswith("_pkey"):
            connection.execute(f"ALTER TABLE {table} SET TABLESPACE {tablespace}")


def fill(filler: Path) -> None:
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4_096))


TROUBLES = [standby, locked, slow, crowded, full]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def patient_rig(
    tmp_path_factory: pytest.TempPathFactory, rabbitmq_process: Any, postgres_process: Any
) -> AsyncIterator[Rig]:
    """One processor with short patience."""
    if not isinstance(postgres_process, PrivateServer):
        pytest.skip("faults need a private PostgreSQL; an address was given")
    async with _running_rig(tmp_path_factory.mktemp("patient"), rabbitmq_process, postgres_process, SETTINGS) as rig:
        await declare_queues(rig)
        await rig.start_processors("processor")
        yield rig


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_a_database_that_refuses_is_tried_again_now_and_then(
    patient_rig: Rig, postgres: Any, trouble: Callable[[Any, Connect], AbstractContextManager[str]]
) -> None:
    """F16: read-only, locked, slow, crowded or full: nothing is lost or buried, nothing spins, and it heals."""
    rig = patient_rig

    def connect() -> psycopg.Connection[Any]:
        return psycopg.connect(rig.database_url.replace("+psycopg", ""), autocommit=True, connect_timeout=5)

    account = deliveries(rig)
    with trouble(postgres, connect) as reason:
        begun_s, before = time.monotonic(), await attempts(rig)
        await account.publish_new(MESSAGES)
        await eventually(lambda: rig.view.waiting() == 0)
        await asyncio.sleep(TROUBLE_S)
        tried, lasted_s = await attempts(rig) - before, time.monotonic() - begun_s
        assert rig.view.waiting(DEAD_LETTER_QUEUE) == 0
    assert re.search(reason, rig.system.roles["processor"].output())
    assert MESSAGES <= tried <= MESSAGES * most_tries(lasted_s)
    await account.close()


def most_tries(time_s: float) -> int:
    """Return how often a message can be tried in this time: at once, then with half of each growing pause at least."""
    tries, pause_s = 1, RETRY_MIN_S
    while (time_s := time_s - pause_s / 2) > 0:
        tries, pause_s = tries + 1, min(2 * pause_s, RETRY_MAX_S)
    return tries


async def attempts(rig: Rig) -> int:
    """Return how many times a message was handed to the intake."""
    return await rig.figure("processor", "processor_received_batches")
