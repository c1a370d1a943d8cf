"""Writing many rows to PostgreSQL: one statement each, whose parameters are one array for each column.

`TableWriting` of the dialect of PostgreSQL. The arrays are made here in the server's own binary format, all numbers of
a column at once; a thousand parameter lists took four to five times the CPU, in both processes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from sqlalchemy import BigInteger, Connection, LargeBinary, Table

from storage.table_writing import Insert, Read, Rows, Write

IS_BINARY: Final = "modelwatch_is_binary"
"""Execution option of statements whose results PostgreSQL sends in its binary format."""

_INT8_OID: Final = 20
_INT8_ARRAY_OID: Final = 1016
_BYTEA_OID: Final = 17
_BYTEA_ARRAY_OID: Final = 1001
_LENGTH: Final = struct.Struct(">i")
_NUMBER: Final = np.dtype([("length", ">i4"), ("value", ">i8")])


class NumberArray(bytes):
    """The binary form of a `bigint[]`."""

    __slots__ = ()


class BytesArray(bytes):
    """The binary form of a `bytea[]`."""

    __slots__ = ()


def teach_arrays(driver_connection: Any) -> None:
    """Let a connection of psycopg's send both kinds of arrays as they are."""
    from psycopg.adapt import Dumper  # of no use to whoever has SQLite
    from psycopg.pq import Format

    def sent_as(type_oid: int) -> type[Dumper]:
        class AsIs(Dumper):
            format = Format.BINARY
            oid = type_oid

            def dump(self, obj: bytes) -> bytes:
                return obj

        return AsIs

    driver_connection.adapters.register_dumper(NumberArray, sent_as(_INT8_ARRAY_OID))
    driver_connection.adapters.register_dumper(BytesArray, sent_as(_BYTEA_ARRAY_OID))


class PostgresWriting:
    """`TableWriting` for PostgreSQL, at READ COMMITTED."""

    def prepare(self, connection: Connection) -> None:
        # Rows are looked up by their keys. The planner takes pages for far away, and would sooner read a partition of
        # some ten megabytes from end to end; and a plan made while a partition was empty is none for a full one.
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off; SET LOCAL plan_cache_mode = force_custom_plan")

    def note(self, table: Table) -> Insert:
        return _returning_keys(table, "DO NOTHING")

    def claim(self, table: Table) -> Insert:
        value = table.columns[len(table.primary_key)].name
        return _returning_keys(table, f"DO UPDATE SET {value} = excluded.{value} WHERE false")

    def renew(self, table: Table, *columns: str) -> Write:
        values = ", ".join(f"{column} = excluded.{column}" for column in columns)
        return _writing(table, f"{_insert(table)} ON CONFLICT ({_key(table)}) DO UPDATE SET {values}")

    def append(self, table: Table) -> Write:
        return _writing(table, _insert(table))

    def read(self, table: Table) -> Read:
        key = [column.name for column in table.primary_key]
        columns = ", ".join(f"kept.{column.name}" for column in table.columns)
        statement = (
            f"SELECT {columns} FROM {table.name} AS kept JOIN {_unnest(table, len(key))} AS asked ({_key(table)}) "
            f"USING ({_key(table)}) WHERE kept.{key[0]} BETWEEN %s AND %s"
        )

        def read(connection: Connection, keys: Rows) -> Rows:
            parameters = (*_arrays(table, keys), *_range(keys))
            options = {IS_BINARY: True}
            result: Any = connection.exec_driver_sql(statement, parameters, execution_options=options)
            rows: Rows = result.cursor.fetchall()
            return rows

        return read

    def update(self, table: Table) -> Write:
        key = [column.name for column in table.primary_key]
        names = ", ".join(column.name for column in table.columns)
        values = [column.name for column in table.columns if column.name not in key]
        statement = (
            f"UPDATE {table.name} AS kept SET {', '.join(f'{name} = new.{name}' for name in values)} "
            f"FROM {_unnest(table)} AS new ({names}) WHERE kept.{key[0]} BETWEEN %s AND %s AND "
            + " AND ".join(f"kept.{name} = new.{name}" for name in key)
        )

        def write(connection: Connection, rows: Rows) -> None:
            connection.exec_driver_sql(statement, (*_arrays(table, rows), *_range(rows)))

        return write


def _returning_keys(table: Table, action: str) -> Insert:
    key = _key(table)
    statement = f"{_insert(table)} ON CONFLICT ({key}) {action} RETURNING {key}"

    def insert(connection: Connection, rows: Rows) -> list[tuple[Any, ...]]:
        options = {IS_BINARY: True}
        result: Any = connection.exec_driver_sql(statement, _arrays(table, rows), execution_options=options)
        keys: list[tuple[Any, ...]] = result.cursor.fetchall()
        return keys

    return insert


def _writing(table: Table, statement: str) -> Write:
    def write(connection: Connection, rows: Rows) -> None:
        connection.exec_driver_sql(statement, _arrays(table, rows))

    return write


def _insert(table: Table) -> str:
    # A function in FROM gives its rows in their order, and they are inserted, or locked, one after another.
    names = ", ".join(column.name for column in table.columns)
    return f"INSERT INTO {table.name} ({names}) SELECT * FROM {_unnest(table)}"


def _unnest(table: Table, count: int | None = None) -> str:
    return f"unnest({', '.join(f'%s::{_type_of(column)}[]' for column in list(table.columns)[:count])})"


def _key(table: Table) -> str:
    return ", ".join(column.name for column in table.primary_key)


def _type_of(column: Any) -> str:
    if isinstance(column.type, BigInteger):
        return "bigint"
    return "bytea" if isinstance(column.type, LargeBinary) else "text"


def _range(rows: Rows) -> tuple[int, int]:
    """Return the least and the greatest first value of the keys, which tell the planner the partitions to look at."""
    return min(row[0] for row in rows), max(row[0] for row in rows)


def _arrays(table: Table, rows: Rows) -> tuple[Any, ...]:
    makers: dict[str, Callable[[Sequence[Any]], Any]] = {"bigint": number_array, "bytea": bytes_array, "text": list}
    columns = zip(*rows, strict=True)
    return tuple(makers[_type_of(column)](values) for column, values in zip(table.columns, columns, strict=False))


def number_array(values: Sequence[int]) -> NumberArray:
    """Return numbers of 64 bits as an array of PostgreSQL's."""
    elements = np.empty(len(values), _NUMBER)
    elements["length"] = 8
    elements["value"] = values
    return NumberArray(_header(_INT8_OID, len(values)) + elements.tobytes())


def bytes_array(values: Sequence[bytes]) -> BytesArray:
    """Return byte strings as an array of PostgreSQL's."""
    parts = [_header(_BYTEA_OID, len(values))]
    for value in values:
        parts += (_LENGTH.pack(len(value)), value)
    return BytesArray(b"".join(parts))


def _header(element_oid: int, count: int) -> bytes:
    # One dimension, no nulls, the type, how many, and that the first is number one.
    return struct.pack(">iiIii", 1, 0, element_oid, count, 1)
