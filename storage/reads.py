"""Reading RED points by time and series, from whichever tiers hold the truth.

The reading half of the history; runs in a worker thread, within a transaction that `database.py` began and that sees
one state of the database throughout. `tiers.py` plans what to read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
from sqlalchemy import Connection, Table, bindparam, func, select, text

from storage.dialects import Dialect
from storage.live_window import CallTotal
from storage.ports import SeriesFilter, TooManyPointsError
from storage.schema import SUMMARY_TABLES, TIER_TABLES, red_points, red_points_coarse, red_points_medium, series
from storage.series_catalog import SeriesCatalog
from storage.tiers import COARSE, FINEST, MEDIUM, Held, Plan, Ranges, Tier, floor_to
from telemetry import RedColumns, SeriesKey
from telemetry.conventions import UNKNOWN_SERVICE

_SERIES_BY_ID: Final = select(series.c.series_id, *(series.c[field] for field in SeriesKey._fields)).where(
    series.c.series_id.in_(bindparam("series_ids", expanding=True))
)
_CALL_TOTALS: Final = (
    select(red_points.c.start_s, func.sum(red_points.c.calls), func.sum(red_points.c.errors))
    .where(red_points.c.start_s >= bindparam("from_s"), red_points.c.start_s < bindparam("to_s"))
    .group_by(red_points.c.start_s)
)
_HELD: Final = text("SELECT retired_to_s, cleared_to_s, summed_since_s FROM tiers ORDER BY rank")
_HELD_AND_DUE: Final = text(
    "SELECT -1 - rank, retired_to_s, cleared_to_s, summed_since_s FROM tiers "
    "UNION ALL SELECT DISTINCT tier_s, start_s, 0, 0 FROM rollups_due WHERE start_s >= :from_s AND start_s < :to_s"
)
_SUMMED_TABLES: Final = (*TIER_TABLES, *SUMMARY_TABLES)
_IDS_PER_QUERY: Final = 10_000
_FORGOTTEN: Final = SeriesKey(UNKNOWN_SERVICE)
"""For points whose series was deleted as unused, which only a clock years ahead can bring about: totals stay exact."""

RawRow = tuple[int, int, int, int, bytes]


def read_points(
    connection: Connection,
    dialect: Dialect,
    tiers: Sequence[Tier],
    catalog: SeriesCatalog,
    start_s: int,
    end_s: int,
    where: SeriesFilter,
    rank: int,
    max_points: int,
    *,
    is_summed: bool = False,
) -> RedColumns:
    """Return the points of buckets that begin in [start_s, end_s) and are no wider than the tier `rank` has them.

    Wider ones where that tier was deleted, and summaries where `is_summed` and there are any. In time order. Raises
    `TooManyPointsError` beyond `max_points`. Series are looked up once per process, not per row.
    """
    dialect.hold_still(connection, _SUMMED_TABLES if is_summed else TIER_TABLES)
    plan = plan_of(connection, tiers, start_s, end_s)
    plan.cover(start_s, end_s, rank)
    rows: list[RawRow] = []
    for tier in tiers:
        since_s = plan.held[tier.rank].summed_since_s
        for table, from_s, to_s in _places(tier, plan.ranges[tier.rank], since_s if is_summed else None):
            rows += _rows(connection, dialect, table, from_s, to_s, where, max_points + 1 - len(rows))
            if len(rows) > max_points:
                raise TooManyPointsError(
                    f"the time from {start_s} to {end_s} holds more than {max_points} points: ask about a shorter "
                    "time, a single service or wider steps, or raise MODELWATCH_STORAGE__MAX_READ_POINTS"
                )
    return _columns(connection, catalog, rows)


def read_held(connection: Connection) -> list[Held]:
    """Return what each tier holds, finest first."""
    return [Held(*times) for times in connection.execute(_HELD)]


def call_totals(connection: Connection, start_s: int, end_s: int) -> dict[int, CallTotal]:
    """Return the calls of all series by bucket, for the finest buckets that begin in [start_s, end_s) and have any."""
    rows = connection.execute(_CALL_TOTALS, {"from_s": start_s, "to_s": end_s})
    # PostgreSQL sums whole numbers up to a decimal.
    return {bucket_s: CallTotal(int(calls), int(errors)) for bucket_s, calls, errors in rows if calls}


def oldest_s(connection: Connection) -> int | None:
    """Return the start of the oldest bucket, `None` when there is none.

    A coarser bucket begins before the finer ones that it was made of, and says nothing while those are there.
    """
    found = [connection.scalar(select(func.min(red_points.c.start_s)))]
    held = read_held(connection)
    for finer, table in ((FINEST, red_points_medium), (MEDIUM, red_points_coarse)):
        if held[finer].retired_to_s:
            found.append(
                connection.scalar(select(func.min(table.c.start_s)).where(table.c.start_s < held[finer].retired_to_s))
            )
    return min((start_s for start_s in found if start_s is not None), default=None)


def plan_of(connection: Connection, tiers: Sequence[Tier], start_s: int, end_s: int) -> Plan:
    """Return a plan of [start_s, end_s) by what the tiers hold and what is due now."""
    widths = [tier.width_s for tier in tiers]
    held = [Held(0, 0)] * len(tiers)
    due: dict[int, list[int]] = {width_s: [] for width_s in widths}
    bounds = {"from_s": floor_to(start_s, widths[COARSE]), "to_s": end_s}
    for kind, *times in connection.execute(_HELD_AND_DUE, bounds):
        if kind < 0:
            held[-1 - kind] = Held(*times)
        else:
            due[kind].append(times[0])
    return Plan(held, widths, [(), due[widths[MEDIUM]], due[widths[COARSE]]])


def _places(tier: Tier, ranges: Ranges, summed_since_s: int | None) -> Iterator[tuple[Table, int, int]]:
    """Yield which table of the tier to read from when to when; no summaries if `None`."""
    for from_s, to_s in ranges:
        cut_s = to_s
        if tier.summary_table is not None and summed_since_s is not None:
            cut_s = min(max(summed_since_s, from_s), to_s)
            if cut_s < to_s:
                yield tier.summary_table, cut_s, to_s
        if from_s < cut_s:
            yield tier.table, from_s, cut_s


def _rows(
    connection: Connection, dialect: Dialect, of: Table, from_s: int, to_s: int, where: SeriesFilter, limit: int
) -> list[RawRow]:
    wanted = where.wanted()
    table, condition = of.name, ""
    if wanted:
        ids = f"SELECT series_id FROM series WHERE {' AND '.join(f'{name} = :{name}' for name in wanted)}"
        condition = f" AND series_id {dialect.any_of.format(ids)}"
        if of is not red_points:
            table += dialect.by_index.format(f"{table}_by_series")
    statement = (
        f"SELECT start_s, series_id, calls, errors, durations FROM {table} "
        f"WHERE start_s >= :from_s AND start_s < :to_s{condition} LIMIT :at_most"
    )
    return dialect.fetch(connection, statement, {"from_s": from_s, "to_s": to_s, "at_most": limit, **wanted})


def _columns(connection: Connection, catalog: SeriesCatalog, rows: list[RawRow]) -> RedColumns:
    if not rows:
        return RedColumns.of(())
    start_s, ids, calls, errors, durations = zip(*rows, strict=True)
    starts = np.array(start_s, dtype=np.int64)
    distinct, index = np.unique(np.array(ids, dtype=np.int64), return_inverse=True)
    by_id = series_of(connection, catalog, set(distinct.tolist()))
    names = [by_id.get(series_id, _FORGOTTEN) for series_id in distinct.tolist()]
    columns = RedColumns(
        names, index.astype(np.int64), starts, np.array(calls, np.int64), np.array(errors, np.int64), durations
    )
    if (starts[1:] >= starts[:-1]).all():
        return columns
    order = np.argsort(starts, kind="stable")
    return columns.take(order)


def series_of(connection: Connection, catalog: SeriesCatalog, series_ids: set[int]) -> Mapping[int, SeriesKey]:
    """Return the series with these ids that there are, by id."""
    by_id, missing = catalog.recall(series_ids)
    for first in range(0, len(missing), _IDS_PER_QUERY):
        found = _read_series(connection, missing[first : first + _IDS_PER_QUERY])
        catalog.learn(found)
        by_id.update(found)
    return by_id


def _read_series(connection: Connection, series_ids: Sequence[int]) -> list[tuple[int, SeriesKey]]:
    found: Any = connection.execute(_SERIES_BY_ID, {"series_ids": list(series_ids)})
    return [(series_id, SeriesKey(*fields)) for series_id, *fields in found]
