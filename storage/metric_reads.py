"""Reading metrics: the series that a question is about, and then their points from whichever tiers hold the truth.

The reading half of the history for metrics, beside `reads.py`; runs in a worker thread, within a transaction that
`database.py` began and that sees one state of the database throughout.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, select

from storage.dialects import Dialect
from storage.metric_ports import MetricFilter
from storage.ports import TooManyPointsError
from storage.reads import plan_of
from storage.sanitising import clean_text
from storage.schema import METRIC_TABLES, metric_series
from storage.series_catalog import METRIC_RENEWAL_S
from storage.tiers import Tier
from telemetry.metric_points import MetricColumns
from telemetry.metric_series import MetricSeriesKey

_IDS_PER_QUERY: Final = 500
_FIELD_CHARS: Final = 16_384


def read_metrics(
    connection: Connection,
    dialect: Dialect,
    tiers: Sequence[Tier],
    span: tuple[int, int],
    where: MetricFilter,
    rank: int,
    max_points: int,
) -> MetricColumns:
    """Return the points of buckets that begin in `span` and are no wider than the tier `rank` has them, in time order.

    Wider ones where that tier was deleted. Raises `TooManyPointsError` beyond `max_points`.
    """
    dialect.hold_still(connection, METRIC_TABLES)
    by_id = _find(connection, where, None, max_points)
    plan = plan_of(connection, tiers, *span)
    plan.cover(*span, rank)
    rows: list[Any] = []
    for ids in _chunks(sorted(by_id)):
        for tier in tiers:
            for within in plan.ranges[tier.rank]:
                rows += _rows(connection, dialect, tier, ids, within, max_points + 1 - len(rows))
                if len(rows) > max_points:
                    raise TooManyPointsError(
                        f"the time from {span[0]} to {span[1]} holds more than {max_points} points of this metric: "
                        "ask about a shorter time, a single service or wider steps, or raise "
                        "MODELWATCH_STORAGE__MAX_READ_POINTS"
                    )
    index_of = {series_id: index for index, series_id in enumerate(by_id)}
    points = sorted((start_s, index_of[series_id], bytes(state)) for start_s, series_id, state in rows)
    return MetricColumns(list(by_id.values()), points)


def metric_series_in(
    connection: Connection, span: tuple[int, int], where: MetricFilter, max_series: int
) -> list[MetricSeriesKey]:
    """Return the series that were noted around `span`. Raises `TooManyPointsError` beyond `max_series`."""
    return list(_find(connection, where, span, max_series).values())


def _find(
    connection: Connection, where: MetricFilter, span: tuple[int, int] | None, limit: int
) -> Mapping[int, MetricSeriesKey]:
    wanted = select(metric_series.c.series_id, *(metric_series.c[name] for name in MetricSeriesKey._fields))
    for name, value in where.fields().items():
        wanted = wanted.where(metric_series.c[name] == clean_text(value, _FIELD_CHARS))
    if where.metric_names:
        wanted = wanted.where(metric_series.c.metric_name.in_(where.metric_names))
    if where.noted_since_s is not None:
        wanted = wanted.where(metric_series.c.noted_s >= where.noted_since_s - METRIC_RENEWAL_S)
    if span is not None:
        wanted = wanted.where(metric_series.c.noted_s >= span[0] - METRIC_RENEWAL_S, metric_series.c.first_s <= span[1])
    found: Sequence[Any] = connection.execute(wanted.limit(limit + 1)).all()
    if len(found) > limit:
        raise TooManyPointsError(f"there are more than {limit} such series: ask about a single service or metric")
    series = {series_id: MetricSeriesKey(*fields) for series_id, *fields in found}
    if not where.labels:
        return series
    return {series_id: key for series_id, key in series.items() if where.matches(key)}


def _rows(
    connection: Connection, dialect: Dialect, tier: Tier, ids: Sequence[int], within: tuple[int, int], limit: int
) -> list[Any]:
    table = tier.metric_table.name
    # Numbers of ours, so that they may stand in the statement itself; as parameters there could not be as many.
    statement = (
        f"SELECT start_s, series_id, state FROM {table}{dialect.by_index.format(f'{table}_by_series')} "
        f"WHERE series_id IN ({','.join(map(str, ids))}) AND start_s >= :from_s AND start_s < :to_s LIMIT :at_most"
    )
    return dialect.fetch(connection, statement, {"from_s": within[0], "to_s": within[1], "at_most": limit})


def _chunks(ids: Sequence[int]) -> list[Sequence[int]]:
    return [ids[first : first + _IDS_PER_QUERY] for first in range(0, len(ids), _IDS_PER_QUERY)]
