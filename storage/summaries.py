"""Summaries: the rows of a bucket once more, added up over the fields of series that few questions are about.

Made by `rollups.py` from the rows that it writes, in the same transaction; `reads.py` takes them for questions that no
other field matters to. An overview of many services reads one row for each in place of one for each of their routes.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from sqlalchemy import Connection

from storage.commits import Row, sum_rows
from storage.reads import series_of
from storage.series_catalog import SeriesCatalog
from telemetry import SeriesKey

_ADDED_UP: Final = ("http_method", "http_route", "peer", "operation")
SUMMED_FIELDS: Final = frozenset(SeriesKey._fields) - frozenset(_ADDED_UP)
"""The fields by which summaries are told apart."""
_POSITIONS: Final = [position for position, name in enumerate(SeriesKey._fields) if name in SUMMED_FIELDS]


def are_enough_for(fields: Collection[str]) -> bool:
    """Tell whether summaries answer a question to which these fields matter and no others."""
    return SUMMED_FIELDS.issuperset(fields)


def summaries_of(connection: Connection, catalog: SeriesCatalog, rows: Sequence[Row]) -> list[Row]:
    """Add up the rows of one bucket; each sum stands under the first of its series, so that there need be no others."""
    found = series_of(connection, catalog, {row.series_id for row in rows})
    first: dict[object, int] = {}
    renamed = []
    for row in rows:
        series = found.get(row.series_id)
        group = row.series_id if series is None else tuple([series[position] for position in _POSITIONS])
        renamed.append(row._replace(series_id=first.setdefault(group, row.series_id)))
    return sum_rows(renamed)
