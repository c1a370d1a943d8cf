"""Committing what came of batches in one transaction: exact beside any number of other writers.

The writing half of the history; runs in a worker thread, within a transaction that `database.py` began.

Every transaction takes its locks in one order (batch ids, then series and points of each kind, then marks, then
instances of services, then kept spans, each sorted), so that writers wait for each other and never in a circle.
Points of a kind take three round trips for each `KEYS_PER_QUERY` of them:

1. Claim: insert the rows, in their order; where one exists, `DO UPDATE ... WHERE false` locks it and changes nothing.
   `RETURNING` names the rows that were new and are done.
2. Read the other rows. They are locked, and at READ COMMITTED a new statement sees all that was committed before it,
   so this is the latest state and nobody can change it.
3. Write back the sums, in any order, since all these rows are locked.

Each bucket of the next tier that the points fall into is marked as due, with a new token: whoever rolls it up from what
there was before finds the token changed, or waits for this transaction and then finds it changed.

On SQLite the transaction holds the only write lock from its beginning, and the same steps are exact all the more.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection, Table

from storage.dialects import Dialect
from storage.instance_catalog import INSTANCE_VALUES
from storage.metric_rows import sum_metric_rows
from storage.ports import AlreadyCommittedError
from storage.schema import (
    batches,
    kept_spans,
    metric_points,
    metric_series,
    red_points,
    rollups_due,
    series,
    service_instances,
)
from storage.series_catalog import SeriesCatalog
from storage.table_writing import Insert, Read, Rows, Write
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
class PointStatements:
    """The statements that commit points of one kind and their series, in the words of one database."""

    note_series: Write
    claim: Insert
    read: Read
    update: Write
    sum_rows: Callable[[Sequence[Any]], Sequence[Any]]


@dataclass(frozen=True)
class CommitStatements:
    """The statements of a commit, in the words of one database."""

    prepare: Callable[[Connection], None]
    note_batches: Insert
    red: PointStatements
    metrics: PointStatements
    mark: Write
    note_instances: Write
    note_spans: Insert


class Part(NamedTuple):
    """What a commit holds of one kind: rows, and the rows of series to be noted, sorted and without repeats."""

    statements: PointStatements
    rows: Sequence[Any]
    new_series: Rows


def commit_statements(dialect: Dialect) -> CommitStatements:
    """Make the statements, once for all commits."""
    return CommitStatements(
        prepare=dialect.writing.prepare,
        note_batches=dialect.writing.note(batches),
        red=_point_statements(dialect, series, red_points, sum_rows),
        metrics=_point_statements(dialect, metric_series, metric_points, sum_metric_rows),
        mark=marking(dialect),
        note_instances=dialect.writing.renew(service_instances, *INSTANCE_VALUES),
        note_spans=dialect.writing.note(kept_spans),
    )


def _point_statements(
    dialect: Dialect, names: Table, points: Table, sum_rows: Callable[[Sequence[Any]], Sequence[Any]]
) -> PointStatements:
    writing = dialect.writing
    return PointStatements(
        note_series=writing.renew(names, "noted_s"),
        claim=writing.claim(points),
        read=writing.read(points),
        update=writing.update(points),
        sum_rows=sum_rows,
    )


def marking(dialect: Dialect) -> Write:
    """Return what marks buckets as due, in the words of one database."""
    return dialect.writing.renew(rollups_due, "token")


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
    parts: Sequence[Part],
    marks: Sequence[Mark],
    instances: Rows,
    spans: Rows,
    now_s: int,
) -> None:
    """Write everything or raise; `batch_ids`, `marks`, `instances` and `spans` are sorted and without repeats.

    Raises `AlreadyCommittedError`; the caller's transaction rolls back on any error.
    """
    statements.prepare(connection)
    if batch_ids:
        _note_batches(connection, statements, batch_ids, now_s)
    for part in parts:
        if part.new_series:
            part.statements.note_series(connection, part.new_series)
        for chunk in _chunks(part.rows, KEYS_PER_QUERY):
            _add_points(connection, part.statements, chunk)
    if marks:
        statements.mark(connection, marks)
    if instances:
        statements.note_instances(connection, instances)
    for chunk in _chunks(spans, KEYS_PER_QUERY):
        statements.note_spans(connection, chunk)  # one that came in two batches is kept once


def _note_batches(connection: Connection, statements: CommitStatements, batch_ids: Sequence[bytes], now_s: int) -> None:
    noted = [(batch_id, now_s) for batch_id in batch_ids]
    new = {bytes(batch_id) for (batch_id,) in statements.note_batches(connection, noted)}
    if len(new) < len(batch_ids):
        raise AlreadyCommittedError(frozenset(batch_ids) - new)


def _add_points(connection: Connection, statements: PointStatements, rows: Sequence[Any]) -> None:
    claimed = set(statements.claim(connection, rows))
    ours = {row[:2]: row for row in rows if row[:2] not in claimed}
    if not ours:
        return
    found = statements.read(connection, list(ours))
    sums = statements.sum_rows([*map(type(rows[0])._make, found), *ours.values()])
    statements.update(connection, sums)


def _chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
