"""Bringing a database's schema up to date, step by numbered step.

Run by the history at start, by several processes at once if it so happens: one of them works, the others wait and find
nothing left to do. Steps are plain SQL and never change once released; a change of schema is a new step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import structlog
from sqlalchemy import Connection, func, insert, inspect, select, update

from storage.access_migration import ACCESS_STEP
from storage.alert_migration import ALERT_CHANNELS_STEP, ALERT_STEP
from storage.export_migration import EXPORT_STEP
from storage.migration_words import OnPostgres
from storage.pipeline_migration import PIPELINE_STEP
from storage.schema import schema_version
from storage.sql_views_migration import SQL_VIEWS_STEP
from storage.trace_migration import TRACE_STEP
from storage.tuning_migration import TUNING_STEP
from telemetry import StartError

log = structlog.get_logger(__name__)

Step = Sequence[str]


_POINTS: Final = """CREATE TABLE {} (
            start_s BIGINT NOT NULL,
            series_id BIGINT NOT NULL,
            calls BIGINT NOT NULL,
            errors BIGINT NOT NULL,
            durations {{bytes}} NOT NULL,
            PRIMARY KEY (start_s, series_id)
        ) {{partitioned}}"""

_METRIC_POINTS: Final = """CREATE TABLE {} (
            start_s BIGINT NOT NULL,
            series_id BIGINT NOT NULL,
            state {{bytes}} NOT NULL,
            PRIMARY KEY (start_s, series_id)
        ) {{metrics}}"""

_SUMMED_SINCE: Final = (
    "UPDATE tiers SET summed_since_s = (SELECT coalesce(max(start_s) + 1, 0) FROM {}) WHERE rank = {}"
)

STEPS: Final[Sequence[Step]] = (
    (
        """CREATE TABLE series (
            series_id BIGINT NOT NULL PRIMARY KEY,
            service_name TEXT NOT NULL,
            service_version TEXT NOT NULL,
            service_instance_id TEXT NOT NULL,
            deployment_environment TEXT NOT NULL,
            model_name TEXT NOT NULL,
            model_version TEXT NOT NULL,
            span_kind TEXT NOT NULL,
            http_method TEXT NOT NULL,
            http_route TEXT NOT NULL,
            http_status_class TEXT NOT NULL,
            noted_s BIGINT NOT NULL
        )""",
        """CREATE TABLE red_points (
            start_s BIGINT NOT NULL,
            series_id BIGINT NOT NULL,
            calls BIGINT NOT NULL,
            errors BIGINT NOT NULL,
            durations {bytes} NOT NULL,
            PRIMARY KEY (start_s, series_id)
        ) {rewritten_often}""",
        """CREATE TABLE batches (
            batch_id {bytes} NOT NULL PRIMARY KEY,
            committed_s BIGINT NOT NULL
        ) {written_once}""",
        "CREATE INDEX batches_by_time ON batches (committed_s)",
    ),
    (
        "ALTER TABLE series ADD COLUMN peer TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE series ADD COLUMN operation TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE series ADD COLUMN overflow TEXT NOT NULL DEFAULT ''",
    ),
    (
        # `storage/carry_over.py` goes on from here with the points that there are.
        OnPostgres("ALTER TABLE red_points RENAME TO red_points_first"),
        OnPostgres(_POINTS.format("red_points")),
        OnPostgres("CREATE TABLE red_points_rest PARTITION OF red_points DEFAULT WITH (fillfactor = 70)"),
        _POINTS.format("red_points_medium"),
        "CREATE INDEX red_points_medium_by_series ON red_points_medium (series_id, start_s)",
        OnPostgres("CREATE TABLE red_points_medium_rest PARTITION OF red_points_medium DEFAULT"),
        _POINTS.format("red_points_coarse"),
        "CREATE INDEX red_points_coarse_by_series ON red_points_coarse (series_id, start_s)",
        OnPostgres("CREATE TABLE red_points_coarse_rest PARTITION OF red_points_coarse DEFAULT"),
        """CREATE TABLE tiers (
            rank INTEGER NOT NULL PRIMARY KEY,
            width_s BIGINT NOT NULL,
            retired_to_s BIGINT NOT NULL,
            cleared_to_s BIGINT NOT NULL
        )""",
        """CREATE TABLE rollups_due (
            tier_s BIGINT NOT NULL,
            start_s BIGINT NOT NULL,
            writer BIGINT NOT NULL,
            noted_s BIGINT NOT NULL,
            token BIGINT NOT NULL,
            PRIMARY KEY (tier_s, start_s, writer)
        ) {rewritten_often}""",
        "CREATE INDEX series_by_service ON series (service_name)",
        "CREATE INDEX series_by_time ON series (noted_s)",
    ),
    (
        """CREATE TABLE metric_series (
            series_id BIGINT NOT NULL PRIMARY KEY,
            service_name TEXT NOT NULL,
            metric_name TEXT NOT NULL,
            metric_unit TEXT NOT NULL,
            metric_type TEXT NOT NULL,
            temporality TEXT NOT NULL,
            is_monotonic TEXT NOT NULL,
            service_version TEXT NOT NULL,
            service_instance_id TEXT NOT NULL,
            deployment_environment TEXT NOT NULL,
            scope_name TEXT NOT NULL,
            resource TEXT NOT NULL,
            attributes TEXT NOT NULL,
            bounds TEXT NOT NULL,
            overflow TEXT NOT NULL,
            first_s BIGINT NOT NULL,
            noted_s BIGINT NOT NULL
        )""",
        "CREATE INDEX metric_series_by_name ON metric_series (metric_name, service_name)",
        "CREATE INDEX metric_series_by_service ON metric_series (service_name)",
        "CREATE INDEX metric_series_by_time ON metric_series (noted_s)",
        _METRIC_POINTS.format("metric_points"),
        "CREATE INDEX metric_points_by_series ON metric_points (series_id, start_s)",
        OnPostgres("CREATE TABLE metric_points_rest PARTITION OF metric_points DEFAULT WITH (fillfactor = 70)"),
        _METRIC_POINTS.format("metric_points_medium"),
        "CREATE INDEX metric_points_medium_by_series ON metric_points_medium (series_id, start_s)",
        OnPostgres("CREATE TABLE metric_points_medium_rest PARTITION OF metric_points_medium DEFAULT"),
        _METRIC_POINTS.format("metric_points_coarse"),
        "CREATE INDEX metric_points_coarse_by_series ON metric_points_coarse (series_id, start_s)",
        OnPostgres("CREATE TABLE metric_points_coarse_rest PARTITION OF metric_points_coarse DEFAULT"),
    ),
    (
        """CREATE TABLE attempts (
            batch_id {bytes} NOT NULL PRIMARY KEY,
            unended BIGINT NOT NULL,
            noted_s BIGINT NOT NULL
        ) {written_once}""",
    ),
    ALERT_STEP,
    (
        """CREATE TABLE service_instances (
            row_id BIGINT NOT NULL PRIMARY KEY,
            service_name TEXT NOT NULL,
            service_instance_id TEXT NOT NULL,
            host_name TEXT NOT NULL,
            process_pid TEXT NOT NULL,
            container_id TEXT NOT NULL,
            service_version TEXT NOT NULL,
            deployment_environment TEXT NOT NULL,
            container_name TEXT NOT NULL,
            k8s_namespace TEXT NOT NULL,
            k8s_pod TEXT NOT NULL,
            k8s_container TEXT NOT NULL,
            sdk_language TEXT NOT NULL,
            sdk_version TEXT NOT NULL,
            first_seen_s BIGINT NOT NULL,
            last_seen_s BIGINT NOT NULL
        ) {rewritten_often}""",
        "CREATE INDEX service_instances_by_service ON service_instances (service_name, last_seen_s)",
        "CREATE INDEX service_instances_by_time ON service_instances (last_seen_s)",
    ),
    (
        _POINTS.format("red_summaries_medium"),
        "CREATE INDEX red_summaries_medium_by_series ON red_summaries_medium (series_id, start_s)",
        OnPostgres("CREATE TABLE red_summaries_medium_rest PARTITION OF red_summaries_medium DEFAULT"),
        _POINTS.format("red_summaries_coarse"),
        "CREATE INDEX red_summaries_coarse_by_series ON red_summaries_coarse (series_id, start_s)",
        OnPostgres("CREATE TABLE red_summaries_coarse_rest PARTITION OF red_summaries_coarse DEFAULT"),
        # What was rolled up before has no summaries, and is read from the rows themselves for as long as it is kept.
        "ALTER TABLE tiers ADD COLUMN summed_since_s BIGINT NOT NULL DEFAULT 0",
        _SUMMED_SINCE.format("red_points_medium", 1),
        _SUMMED_SINCE.format("red_points_coarse", 2),
    ),
    ("CREATE TABLE last_round (seen_s BIGINT NOT NULL PRIMARY KEY, doubted_from_s BIGINT NOT NULL)",),
    TRACE_STEP,
    ACCESS_STEP,
    PIPELINE_STEP,
    EXPORT_STEP,
    SQL_VIEWS_STEP,
    TUNING_STEP,
    ALERT_CHANNELS_STEP,
)
"""Step n brings the schema to version n. Words in braces differ between the databases (`Dialect.ddl_words`)."""


def migrate(connection: Connection, ddl_words: Mapping[str, str], steps: Sequence[Step] = STEPS) -> None:
    """Apply the missing steps within the caller's transaction, which must hold the schema's lock.

    Raises `StartError` when the database was written by a newer program.
    """
    if not inspect(connection).has_table(schema_version.name):
        schema_version.create(connection)
    found = connection.scalar(select(func.max(schema_version.c.version)))
    if found is not None and found > len(steps):
        raise StartError(
            f"the database has schema version {found}, this ModelWatch knows {len(steps)}: "
            "start a newer ModelWatch, or set MODELWATCH_DATABASE_URL to another database"
        )
    if found == len(steps):
        return  # without writing, so that a database that only reads can be read
    for number, step in enumerate(steps[found or 0 :], start=(found or 0) + 1):
        for statement in step:
            if connection.dialect.name == "postgresql" or not isinstance(statement, OnPostgres):
                connection.exec_driver_sql(statement.format_map(ddl_words))
        log.info("schema migrated", version=number)
    write = insert(schema_version) if found is None else update(schema_version)
    connection.execute(write.values(version=len(steps)))
