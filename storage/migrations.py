"""Bringing a database's schema up to date, step by numbered step.

Run by the history at start, by several processes at once if it so happens: one of them works, the others wait and find
nothing left to do. Steps are plain SQL and never change once released; a change of schema is a new step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import structlog
from sqlalchemy import Connection, func, insert, inspect, select, update

from storage.schema import schema_version
from telemetry import StartError

log = structlog.get_logger(__name__)

Step = Sequence[str]

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
            connection.exec_driver_sql(statement.format_map(ddl_words))
        log.info("schema migrated", version=number)
    write = insert(schema_version) if found is None else update(schema_version)
    connection.execute(write.values(version=len(steps)))
