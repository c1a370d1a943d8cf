"""Writing many rows to a table: what a commit asks of a database, and how it is done on SQLite.

Used by `commits.py` and `rollups.py`, by way of the dialect. PostgreSQL has words of its own in `array_writing.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, Protocol

from sqlalchemy import Connection, Table, false, insert
from sqlalchemy.dialects import sqlite

Rows = Sequence[tuple[Any, ...]]
"""Values in the order of the table's columns, those of the key first."""

Insert = Callable[[Connection, Rows], list[tuple[Any, ...]]]
"""Inserts rows in their order and returns the keys of those that were new."""
Read = Callable[[Connection, Rows], Rows]
"""Returns the rows that have these keys, in any order."""
Write = Callable[[Connection, Rows], None]


class TableWriting(Protocol):
    """Makes the statements for a table. Each is made once, and executed with one row or a thousand."""

    def prepare(self, connection: Connection) -> None:
        """Begin a transaction that writes."""

    def note(self, table: Table) -> Insert:
        """Insert what is new, and leave what exists."""

    def claim(self, table: Table) -> Insert:
        """Insert what is new, and lock what exists until the end of the transaction."""

    def renew(self, table: Table, *columns: str) -> Write:
        """Insert what is new, and set these columns of what exists; either way the row is locked."""

    def append(self, table: Table) -> Write:
        """Insert rows of which none exists."""

    def read(self, table: Table) -> Read:
        """Read by key."""

    def update(self, table: Table) -> Write:
        """Set every column of rows that exist."""


class SqliteWriting:
    """`TableWriting` for SQLite, which needs no locks of its own: one transaction writes at a time."""

    def prepare(self, connection: Connection) -> None:
        """Nothing: BEGIN IMMEDIATE did it."""

    def note(self, table: Table) -> Insert:
        return _returning_keys(table, sqlite.insert(table).on_conflict_do_nothing())

    def claim(self, table: Table) -> Insert:
        statement = sqlite.insert(table)
        value = _values_of(table)[0]
        return _returning_keys(
            table,
            statement.on_conflict_do_update(
                index_elements=_key_of(table), set_={value: statement.excluded[value]}, where=false()
            ),
        )

    def renew(self, table: Table, *columns: str) -> Write:
        statement = sqlite.insert(table)
        values = {column: statement.excluded[column] for column in columns}
        return _writing(table, statement.on_conflict_do_update(index_elements=_key_of(table), set_=values))

    def append(self, table: Table) -> Write:
        return _writing(table, insert(table))

    def read(self, table: Table) -> Read:
        key = _key_of(table)
        names = [f"asked_{name}" for name in key]
        same = " AND ".join(f"kept.{name} = {asked}" for name, asked in zip(key, names, strict=True))
        columns = ", ".join(f"kept.{column.name}" for column in table.columns)

        def read(connection: Connection, keys: Rows) -> Rows:
            # CROSS JOIN is by SQLite's own rules not turned round: one look-up for each key. The condition
            # `(start_s, series_id) IN (...)` would read the whole table.
            asked = ", ".join([f"({', '.join('?' * len(key))})"] * len(keys))
            found = connection.exec_driver_sql(
                f"WITH asked ({', '.join(names)}) AS (VALUES {asked}) "
                f"SELECT {columns} FROM asked CROSS JOIN {table.name} AS kept ON {same}",
                tuple(chain.from_iterable(keys)),
            )
            return [tuple(row) for row in found]

        return read

    def update(self, table: Table) -> Write:
        key, values = _key_of(table), _values_of(table)
        statement = (
            f"UPDATE {table.name} SET {', '.join(f'{name} = ?' for name in values)} "
            f"WHERE {' AND '.join(f'{name} = ?' for name in key)}"
        )

        def write(connection: Connection, rows: Rows) -> None:
            # Keys come first in a row, and last in the statement.
            connection.exec_driver_sql(statement, [(*row[len(key) :], *row[: len(key)]) for row in rows])

        return write


def _returning_keys(table: Table, statement: Any) -> Insert:
    returning, names = statement.returning(*table.primary_key), table.columns.keys()

    def insert_rows(connection: Connection, rows: Rows) -> list[tuple[Any, ...]]:
        found = connection.execute(returning, [dict(zip(names, row, strict=True)) for row in rows])
        return [tuple(key) for key in found]

    return insert_rows


def _writing(table: Table, statement: Any) -> Write:
    names = table.columns.keys()

    def write(connection: Connection, rows: Rows) -> None:
        connection.execute(statement, [dict(zip(names, row, strict=True)) for row in rows])

    return write


def _key_of(table: Table) -> list[str]:
    return [column.name for column in table.primary_key]


def _values_of(table: Table) -> list[str]:
    return [column.name for column in table.columns if not column.primary_key]
