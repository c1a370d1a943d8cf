"""Reading RED points by time and series.

The reading half of the history; runs in a worker thread, within a transaction that `database.py` began.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Select, bindparam, func, select

from storage.live_window import CallTotal
from storage.ports import SeriesFilter, TooManyPointsError
from storage.schema import red_points, series
from storage.series_catalog import SeriesCatalog
from telemetry import ExponentialHistogram, RedPoint, SeriesKey
from telemetry.conventions import UNKNOWN_SERVICE

_SERIES_BY_ID = select(series.c.series_id, *(series.c[field] for field in SeriesKey._fields)).where(
    series.c.series_id.in_(bindparam("series_ids", expanding=True))
)
_CALL_TOTALS = (
    select(red_points.c.start_s, func.sum(red_points.c.calls), func.sum(red_points.c.errors))
    .where(red_points.c.start_s >= bindparam("from_s"), red_points.c.start_s < bindparam("to_s"))
    .group_by(red_points.c.start_s)
)
_OLDEST = select(func.min(red_points.c.start_s))
_IDS_PER_QUERY = 10_000
_ROWS_AT_ONCE = 10_000
_FORGOTTEN = SeriesKey(UNKNOWN_SERVICE)
"""For points whose series was deleted as unused, which only a clock years ahead can bring about: totals stay exact."""


def read_points(
    connection: Connection, catalog: SeriesCatalog, start_s: int, end_s: int, where: SeriesFilter, max_points: int
) -> list[RedPoint]:
    """Return the points of buckets that begin in [start_s, end_s), in time order.

    Raises `TooManyPointsError` beyond `max_points`. Series are looked up once per process, not per row.
    """
    result = connection.execute(_points_statement(start_s, end_s, where).limit(max_points + 1))
    histogram = ExponentialHistogram.from_bytes
    by_id: dict[int, SeriesKey] = {}
    points: list[RedPoint] = []
    for rows in result.partitions(_ROWS_AT_ONCE):
        by_id.update(_series_of(connection, catalog, {row[1] for row in rows} - by_id.keys()))
        points += [
            RedPoint(by_id.get(series_id, _FORGOTTEN), point_start_s, calls, errors, histogram(durations))
            for point_start_s, series_id, calls, errors, durations in rows
        ]
    if len(points) > max_points:
        raise TooManyPointsError(
            f"the time from {start_s} to {end_s} holds more than {max_points} points: "
            "ask about a shorter time or a single service, or raise MODELWATCH_STORAGE__MAX_READ_POINTS"
        )
    return points


def call_totals(connection: Connection, start_s: int, end_s: int) -> dict[int, CallTotal]:
    """Return the calls of all series by bucket, for the buckets that begin in [start_s, end_s) and have any."""
    rows = connection.execute(_CALL_TOTALS, {"from_s": start_s, "to_s": end_s})
    # PostgreSQL sums whole numbers up to a decimal.
    return {bucket_s: CallTotal(int(calls), int(errors)) for bucket_s, calls, errors in rows if calls}


def oldest_s(connection: Connection) -> int | None:
    """Return the start of the oldest bucket, `None` when there is none."""
    found: int | None = connection.scalar(_OLDEST)
    return found


def _points_statement(start_s: int, end_s: int, where: SeriesFilter) -> Select[Any]:
    statement = (
        select(red_points)
        .where(red_points.c.start_s >= start_s, red_points.c.start_s < end_s)
        .order_by(red_points.c.start_s, red_points.c.series_id)
    )
    wanted = {name: value for name in where.__slots__ if (value := getattr(where, name)) is not None}
    if wanted:
        ids = select(series.c.series_id).where(*(series.c[name] == value for name, value in wanted.items()))
        statement = statement.where(red_points.c.series_id.in_(ids))
    return statement


def _series_of(connection: Connection, catalog: SeriesCatalog, series_ids: set[int]) -> dict[int, SeriesKey]:
    by_id, missing = catalog.recall(series_ids)
    for first in range(0, len(missing), _IDS_PER_QUERY):
        found = _read_series(connection, missing[first : first + _IDS_PER_QUERY])
        catalog.learn(found)
        by_id.update(found)
    return by_id


def _read_series(connection: Connection, series_ids: Sequence[int]) -> list[tuple[int, SeriesKey]]:
    found = connection.execute(_SERIES_BY_ID, {"series_ids": list(series_ids)})
    return [(series_id, SeriesKey(*fields)) for series_id, *fields in found]
