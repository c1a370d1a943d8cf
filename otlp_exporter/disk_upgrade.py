"""Reads what earlier versions kept on disk: bodies within the SQLite file.

Asked by the tables when they are opened, which put those bodies where they belong now.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from telemetry import Batch, Signal


def bodies_inside(connection: sqlite3.Connection) -> Iterator[tuple[int, Batch, list[str]]]:
    """Yield the number of each, the batch, and the targets that wait for it."""
    if not _has_bodies(connection):
        return
    numbers = [number for (number,) in connection.execute("SELECT number FROM bodies ORDER BY number")]
    waiting = dict(connection.execute("SELECT number, group_concat(target, ' ') FROM waiting GROUP BY number"))
    for number in numbers:
        row = connection.execute(
            "SELECT signal, body, batch_id, items, received_ns FROM bodies WHERE number = ?", (number,)
        ).fetchone()
        if number in waiting:
            yield number, Batch(Signal(row[0]), *row[1:]), waiting[number].split()


def forget_body_inside(connection: sqlite3.Connection, number: int) -> None:
    """Delete one, within the transaction that notes where it is now."""
    connection.execute("DELETE FROM bodies WHERE number = ?", (number,))


def forget_bodies_inside(connection: sqlite3.Connection) -> None:
    """Delete what is left of them."""
    connection.execute("DROP TABLE IF EXISTS bodies")


def _has_bodies(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'bodies'").fetchall())
