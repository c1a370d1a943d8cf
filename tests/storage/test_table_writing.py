"""Many rows in one statement: every value as it was, keys looked up and not searched for."""

from __future__ import annotations

from typing import Any

import sqlalchemy
from sqlalchemy import Connection

from storage.dialects import Dialect
from storage.history import SqlHistory
from storage.schema import red_points, rollups_due
from storage.table_writing import Rows
from tests.storage.conftest import Store

LEAST, MOST = -(2**63), 2**63 - 1
ROWS: Rows = [
    (LEAST, MOST, 0, MOST, b""),
    (0, LEAST, LEAST, -1, bytes(range(256)) * 20),
    (0, 0, 1, 1, b"\x00\\x,{}\"'"),
    (MOST, 7, 5, 4, b"later"),
]


async def test_every_value_comes_back_as_it_was_written(history: SqlHistory) -> None:
    """The least and the greatest number, empty and any bytes."""

    def write_and_read(connection: Connection) -> tuple[Rows, Rows]:
        writing = _begun(history, connection).writing
        claimed = writing.claim(red_points)(connection, ROWS)
        found = writing.read(red_points)(connection, [row[:2] for row in ROWS])
        return claimed, found

    claimed, found = await history.database.write(write_and_read)

    assert sorted(claimed) == [row[:2] for row in ROWS]
    assert sorted(found) == ROWS


async def test_only_the_new_are_claimed_and_only_the_named_are_read_and_changed(history: SqlHistory) -> None:
    """Of four rows two exist; one of them is changed."""
    changed = (*ROWS[1][:2], 3, 2, b"changed")

    def write(connection: Connection) -> tuple[Rows, Rows, Rows]:
        writing = _begun(history, connection).writing
        writing.append(red_points)(connection, ROWS[:2])
        claimed = writing.claim(red_points)(connection, ROWS)
        writing.update(red_points)(connection, [changed])
        some = writing.read(red_points)(connection, [ROWS[1][:2], ROWS[3][:2], (5, 5)])
        return claimed, some, writing.read(red_points)(connection, [ROWS[0][:2]])

    claimed, some, other = await history.database.write(write)

    assert sorted(claimed) == [row[:2] for row in ROWS[2:]]
    assert sorted(some) == [changed, ROWS[3]]
    assert other == [ROWS[0]]


async def test_noting_leaves_what_exists_and_renewing_sets_one_column(history: SqlHistory) -> None:
    """A row that exists keeps its other columns either way."""

    def write(connection: Connection) -> tuple[Rows, Rows]:
        writing = _begun(history, connection).writing
        writing.append(rollups_due)(connection, [(60, 0, 1, 10, 100)])
        noted = writing.note(rollups_due)(connection, [(60, 0, 1, 20, 200), (60, 60, 1, 20, 200)])
        writing.renew(rollups_due, "token")(connection, [(60, 0, 1, 30, 300), (60, 120, 1, 30, 300)])
        keys = [(60, start_s, 1) for start_s in (0, 60, 120)]
        return noted, writing.read(rollups_due)(connection, keys)

    noted, found = await history.database.write(write)

    assert noted == [(60, 60, 1)]
    assert sorted(found) == [(60, 0, 1, 10, 300), (60, 60, 1, 20, 200), (60, 120, 1, 30, 300)]


async def test_sqlite_reads_and_changes_rows_beside_many_others_in_as_many_steps(sqlite_store: Store) -> None:
    """A hundred keys take no more steps of the machine beside 20,000 rows than beside few."""
    history = sqlite_store.history()
    await history.start()
    try:
        few = await history.database.write(lambda connection: _steps(history, connection, 0))
        many = await history.database.write(lambda connection: _steps(history, connection, 20_000))
    finally:
        await history.stop()
    assert many < few * 1.5


async def test_postgres_looks_rows_up_in_the_index(postgres_store: Store) -> None:
    """A partition is not read from end to end, though the planner would sooner do that with one of this size."""
    history = postgres_store.history()
    await history.start()

    def plan(connection: Connection) -> str:
        writing = _begun(history, connection).writing
        rows = [(start_s, 1, 1, 0, b"") for start_s in range(0, 30_000, 10)]
        writing.append(red_points)(connection, rows)
        connection.exec_driver_sql("ANALYZE red_points")

        @sqlalchemy.event.listens_for(connection, "before_cursor_execute", retval=True)
        def explain(_connection: object, _cursor: object, sql: str, values: object, *_: object) -> tuple[str, object]:
            return f"EXPLAIN {sql}", values

        return str(writing.read(red_points)(connection, [row[:2] for row in rows]))

    try:
        found = await history.database.write(plan)
    finally:
        await history.stop()
    assert "Index" in found
    assert "Seq Scan" not in found


def _begun(history: SqlHistory, connection: Connection) -> Dialect:
    dialect = history.database.dialect
    dialect.writing.prepare(connection)
    return dialect


def _steps(history: SqlHistory, connection: Connection, others: int) -> int:
    writing, steps = _begun(history, connection).writing, 0
    rows = [(10**6 + others, series_id, 1, 0, b"") for series_id in range(100)]
    beside = [(start_s, 1, 1, 0, b"") for start_s in range(others)]
    writing.append(red_points)(connection, [*beside, *rows])
    driver: Any = connection.connection.driver_connection

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    driver.set_progress_handler(count, 10)
    try:
        writing.read(red_points)(connection, [row[:2] for row in rows])
        writing.update(red_points)(connection, rows)
    finally:
        driver.set_progress_handler(None, 0)
    return steps
