"""The tables of the history, as SQLAlchemy Core sees them.

`migrations.py` makes them; `commits.py`, `reads.py` and `retention.py` speak of them.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, MetaData, Table, Text

from telemetry import KeptSpan, SeriesKey, ServiceInstance
from telemetry.metric_series import MetricSeriesKey

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


def _points_table(name: str) -> Table:
    return Table(
        name,
        METADATA,
        Column("start_s", BigInteger, primary_key=True, autoincrement=False),
        Column("series_id", BigInteger, primary_key=True, autoincrement=False),
        Column("calls", BigInteger, nullable=False),
        Column("errors", BigInteger, nullable=False),
        Column("durations", LargeBinary, nullable=False),
    )


red_points: Final = _points_table("red_points")
red_points_medium: Final = _points_table("red_points_medium")
red_points_coarse: Final = _points_table("red_points_coarse")
TIER_TABLES: Final = (red_points, red_points_medium, red_points_coarse)
"""One table for each tier, finest first. `durations` is `ExponentialHistogram.to_bytes()`.

Time first in the key: questions are about ranges of time, and old rows go together. The two that are written once have
an index by series as well.
"""
red_summaries_medium: Final = _points_table("red_summaries_medium")
red_summaries_coarse: Final = _points_table("red_summaries_coarse")
SUMMARY_TABLES: Final = (red_summaries_medium, red_summaries_coarse)
"""Beside the tables that are written once: their rows once more, those of like series added up (`summaries.py`)."""

metric_series: Final = Table(
    "metric_series",
    METADATA,
    Column("series_id", BigInteger, primary_key=True, autoincrement=False),
    *(Column(field, Text, nullable=False) for field in MetricSeriesKey._fields),
    Column("first_s", BigInteger, nullable=False),
    Column("noted_s", BigInteger, nullable=False),
)
"""`series_id` is `telemetry.metric_series.metric_series_id_of`. First noted at `first_s`; writers renew `noted_s` every
few minutes while they use the series, so that it can be told which metrics there were in a time."""


def _metric_points_table(name: str) -> Table:
    return Table(
        name,
        METADATA,
        Column("start_s", BigInteger, primary_key=True, autoincrement=False),
        Column("series_id", BigInteger, primary_key=True, autoincrement=False),
        Column("state", LargeBinary, nullable=False),
    )


metric_points: Final = _metric_points_table("metric_points")
metric_points_medium: Final = _metric_points_table("metric_points_medium")
metric_points_coarse: Final = _metric_points_table("metric_points_coarse")
METRIC_TABLES: Final = (metric_points, metric_points_medium, metric_points_coarse)
"""The tiers of metrics, finest first, beside those of RED points. `state` is what a state's `to_bytes` wrote.

All have an index by series as well: nobody asks about all series of metrics at once."""

service_instances: Final = Table(
    "service_instances",
    METADATA,
    Column("row_id", BigInteger, primary_key=True, autoincrement=False),
    *(Column(field, Text, nullable=False) for field in ServiceInstance._fields),
    Column("first_seen_s", BigInteger, nullable=False),
    Column("last_seen_s", BigInteger, nullable=False),
)
"""`row_id` is `telemetry.service_instance.service_instance_id_of`. Writers renew `last_seen_s`, and what may change of
an instance, twice a minute while they hear of it."""

_SPAN_NUMBERS: Final = frozenset({"start_s", "end_ns", "duration_ns", "http_status_code", "is_error"})
_SPAN_BYTES: Final = frozenset({"trace_id", "span_id", "parent_span_id", "detail"})
_SPAN_KEY: Final = frozenset(KeptSpan._fields[:4])


def _span_column(field: str) -> Column[Any]:
    kind = BigInteger if field in _SPAN_NUMBERS else LargeBinary if field in _SPAN_BYTES else Text
    return Column(field, kind, primary_key=field in _SPAN_KEY, nullable=False, autoincrement=False)


kept_spans: Final = Table("kept_spans", METADATA, *map(_span_column, KeptSpan._fields))
"""Spans as they were, a row each; the key begins with their time, by which they are found, partitioned and deleted."""

tiers: Final = Table(
    "tiers",
    METADATA,
    Column("rank", Integer, primary_key=True, autoincrement=False),
    Column("width_s", BigInteger, nullable=False),
    Column("retired_to_s", BigInteger, nullable=False),
    Column("cleared_to_s", BigInteger, nullable=False),
    Column("summed_since_s", BigInteger, nullable=False),
)
"""What the tiers hold, 0 the finest; `storage/tiers.py` says what the times mean."""

rollups_due: Final = Table(
    "rollups_due",
    METADATA,
    Column("tier_s", BigInteger, primary_key=True, autoincrement=False),
    Column("start_s", BigInteger, primary_key=True, autoincrement=False),
    Column("writer", BigInteger, primary_key=True, autoincrement=False),
    Column("noted_s", BigInteger, nullable=False),
    Column("token", BigInteger, nullable=False),
)
"""Marks: the bucket of `tier_s` that begins at `start_s` has finer rows that it was not rolled up from.

Each writer has marks of its own, so that writers do not wait for each other, and renews the token with every commit.
"""

attempts: Final = Table(
    "attempts",
    METADATA,
    Column("batch_id", LargeBinary, primary_key=True),
    Column("unended", BigInteger, nullable=False),
    Column("noted_s", BigInteger, nullable=False),
)
"""Attempts at batches that processes may have died of: begun and, as far as anybody knows, not ended. Few, if any."""

batches: Final = Table(
    "batches",
    METADATA,
    Column("batch_id", LargeBinary, primary_key=True),
    Column("committed_s", BigInteger, nullable=False),
)

last_round: Final = Table(
    "last_round",
    METADATA,
    Column("seen_s", BigInteger, primary_key=True, autoincrement=False),
    Column("doubted_from_s", BigInteger, nullable=False),
)
"""One row: what the clock said when the history was last tended, and what when it began to be doubted, or 0."""

process_reports: Final = Table(
    "process_reports",
    METADATA,
    Column("process_id", Text, primary_key=True),
    Column("noted_ms", BigInteger, nullable=False),
    Column("document", Text, nullable=False),
)
"""The last report of each of ModelWatch's processes (`process_reports.py`)."""

pipeline_course: Final = Table(
    "pipeline_course",
    METADATA,
    Column("start_s", BigInteger, primary_key=True, autoincrement=False),
    Column("document", Text, nullable=False),
)
"""What all of them together had counted and held, over time (`pipeline_course.py`)."""
