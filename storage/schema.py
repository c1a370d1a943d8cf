"""The tables of the history, as SQLAlchemy Core sees them.

`migrations.py` makes them; `commits.py`, `reads.py` and `retention.py` speak of them.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, MetaData, Table, Text

from telemetry import SeriesKey

METADATA: Final = MetaData()

schema_version: Final = Table(
    "schema_version",
    METADATA,
    Column("version", Integer, primary_key=True, autoincrement=False),
)

series: Final = Table(
    "series",
    METADATA,
    Column("series_id", BigInteger, primary_key=True, autoincrement=False),
    *(Column(field, Text, nullable=False) for field in SeriesKey._fields),
    Column("noted_s", BigInteger, nullable=False),
)
"""`series_id` is `telemetry.series.series_id_of`. Writers renew `noted_s` daily while they use the series."""

red_points: Final = Table(
    "red_points",
    METADATA,
    Column("start_s", BigInteger, primary_key=True, autoincrement=False),
    Column("series_id", BigInteger, primary_key=True, autoincrement=False),
    Column("calls", BigInteger, nullable=False),
    Column("errors", BigInteger, nullable=False),
    Column("durations", LargeBinary, nullable=False),
)
"""`durations` is `ExponentialHistogram.to_bytes()`. Time first in the key: questions are about ranges of time."""

batches: Final = Table(
    "batches",
    METADATA,
    Column("batch_id", LargeBinary, primary_key=True),
    Column("committed_s", BigInteger, nullable=False),
)
