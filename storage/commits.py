"""Committing batch ids and RED points in one transaction: exact beside any number of other writers.

The writing half of the history; runs in a worker thread, within a transaction that `database.py` began.

Every transaction takes its locks in one order (batch ids, then series, then points, then marks, each sorted), so that
writers wait for each other and never in a circle. Points take three round trips however many they are:

1. Claim: insert the rows; where one exists, `DO UPDATE ... WHERE false` locks it and changes nothing. `RETURNING` names
   the rows that were new and are done.
2. Read the other rows. They are locked, and at READ COMMITTED a new statement sees all that was committed before it,
   so this is the latest state and nobody can change it.
3. Write back the sums.

Each bucket of the next tier that the points fall into is marked as due, with a new token: whoever rolls it up from what
there was before finds the token changed, or waits for this transaction and then finds it changed.

On SQLite the transaction holds the only write lock from its beginning, and the same statements are exact all the more.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection, Executable, bindparam, false, select, tuple_, update

from storage.dialects import Dialect
from storage.ports import AlreadyCommittedError
from storage.schema import batches, red_points, rollups_due, series
from storage.series_catalog import SeriesCatalog
from telemetry import RedPoint, SeriesKey, merge_red_points
from telemetry.histogram_groups import merge_groups

KEYS_PER_QUERY = 1_000
"""Two parameters each; SQLite takes 32 766 in one statement, PostgreSQL 65 535."""

Item = TypeVar("Item")
Key = tuple[int, int]


class Row(NamedTuple):
    """One row of `red_points` or of the tables of the coarser tiers."""

    start_s: int
    series_id: int
    calls: int
    errors: int
    durations: bytes


class Mark(NamedTuple):
    """One row of `rollups_due`."""

    tier_s: int
    start_s: int
    writer: int
    noted_s: int
    token: int


@dataclass(frozen=True)
class CommitStatements:
    """The statements of a commit, in the words of one database."""

    note_batches: Executable
    note_series: Executable
    claim_points: Executable
    read_points: Executable
    write_points: Executable
    mark: Executable


def commit_statements(dialect: Dialect) -> CommitStatements:
    """Build the statements once; each is compiled at its first use and kept."""
    claim = dialect.insert(red_points)
    note = dialect.insert(series)
    key = tuple_(red_points.c.start_s, red_points.c.series_id)
    return CommitStatements(
        note_batches=dialect.insert(batches).on_conflict_do_nothing().returning(batches.c.batch_id),
        note_series=note.on_conflict_do_update(index_elements=["series_id"], set_={"noted_s": note.excluded.noted_s}),
        claim_points=claim.on_conflict_do_update(
            index_elements=["start_s", "series_id"], set_={"calls": claim.excluded.calls}, where=false()
        ).returning(red_points.c.start_s, red_points.c.series_id),
        read_points=select(red_points).where(key.in_(bindparam("keys", expanding=True))),
        write_points=update(red_points)
        .where(
            red_points.c.start_s == bindparam("at_start_s"),
            red_points.c.series_id == bindparam("at_series_id"),
        )
        .values(calls=bindparam("calls"), errors=bindparam("errors"), durations=bindparam("durations")),
        mark=marking(dialect),
    )


def marking(dialect: Dialect) -> Executable:
    """Return the statement that marks buckets as due, in the words of one database."""
    mark = dialect.insert(rollups_due)
    key = ["tier_s", "start_s", "writer"]
    statement: Executable = mark.on_conflict_do_update(index_elements=key, set_={"token": mark.excluded.token})
    return statement


def new_token() -> int:
    """Return a number that no other mark has had."""
    return secrets.randbits(63)


def rows_of(
    points: Iterable[RedPoint], resolution_s: int, catalog: SeriesCatalog
) -> tuple[list[Row], dict[int, SeriesKey]]:
    """Add up points into the rows to commit, sorted by key, and name the series that they speak of."""
    named: dict[int, SeriesKey] = {}
    merged = merge_red_points(points, resolution_s)
    rows: list[Row] = []
    for point in merged:
        cleaned, series_id = catalog.identify(point.series)
        named[series_id] = cleaned
        rows.append(Row(point.start_s, series_id, point.calls, point.errors, point.durations.to_bytes()))
    # Two series may have become one by cleaning.
    return sum_rows(rows) if len(named) < len({point.series for point in merged}) else sorted(rows), named


def sum_rows(rows: Sequence[Row], width_s: int = 1) -> list[Row]:
    """Add up rows into buckets of `width_s`, one row for each key, sorted by key."""
    sums: dict[Key, tuple[int, list[int]]] = {}
    groups: list[int] = []
    for start_s, series_id, calls, errors, _ in rows:
        index, totals = sums.setdefault((start_s - start_s % width_s, series_id), (len(sums), [0, 0]))
        totals[0] += calls
        totals[1] += errors
        groups.append(index)
    durations = merge_groups([row[4] for row in rows], groups, len(sums))
    return sorted(
        Row(start_s, series_id, calls, errors, durations[index].to_bytes())
        for (start_s, series_id), (index, (calls, errors)) in sums.items()
    )


def commit(
    connection: Connection,
    statements: CommitStatements,
    batch_ids: Sequence[bytes],
    rows: Sequence[Row],
    marks: Sequence[Mark],
    new_series: Sequence[tuple[int, SeriesKey]],
    now_s: int,
) -> None:
    """Write everything or raise; `batch_ids`, `rows`, `marks` and `new_series` are sorted and without repeats.

    Raises `AlreadyCommittedError`; the caller's transaction rolls back on any error.
    """
    if batch_ids:
        _note_batches(connection, statements, batch_ids, now_s)
    if new_series:
        noted = [{"series_id": series_id, **key._asdict(), "noted_s": now_s} for series_id, key in new_series]
        connection.execute(statements.note_series, noted)
    for chunk in _chunks(rows, KEYS_PER_QUERY):
        _add_points(connection, statements, chunk)
    if marks:
        connection.execute(statements.mark, [mark._asdict() for mark in marks])


def _note_batches(connection: Connection, statements: CommitStatements, batch_ids: Sequence[bytes], now_s: int) -> None:
    noted = [{"batch_id": batch_id, "committed_s": now_s} for batch_id in batch_ids]
    new = {bytes(batch_id) for (batch_id,) in connection.execute(statements.note_batches, noted)}
    if len(new) < len(batch_ids):
        raise AlreadyCommittedError(frozenset(batch_ids) - new)


def _add_points(connection: Connection, statements: CommitStatements, rows: Sequence[Row]) -> None:
    claimed = {
        (start_s, series_id)
        for start_s, series_id in connection.execute(statements.claim_points, [row._asdict() for row in rows])
    }
    ours = {row[:2]: row for row in rows if row[:2] not in claimed}
    if not ours:
        return
    found = connection.execute(statements.read_points, {"keys": list(ours)})
    sums = sum_rows([*map(Row._make, found), *ours.values()])
    connection.execute(statements.write_points, [_update_of(row) for row in sums])


def _update_of(row: Row) -> dict[str, Any]:
    return {
        "at_start_s": row.start_s,
        "at_series_id": row.series_id,
        "calls": row.calls,
        "errors": row.errors,
        "durations": row.durations,
    }


def _chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
