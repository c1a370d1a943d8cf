"""The step of the schema that makes the table of kept spans; `migrations.py` applies it in its turn.

Never changes once released, like every step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from storage.migration_words import OnPostgres

TRACE_STEP: Final[Sequence[str]] = (
    """CREATE TABLE kept_spans (
        start_s BIGINT NOT NULL,
        end_ns BIGINT NOT NULL,
        trace_id {bytes} NOT NULL,
        span_id {bytes} NOT NULL,
        parent_span_id {bytes} NOT NULL,
        duration_ns BIGINT NOT NULL,
        service_name TEXT NOT NULL,
        service_version TEXT NOT NULL,
        service_instance_id TEXT NOT NULL,
        deployment_environment TEXT NOT NULL,
        model_name TEXT NOT NULL,
        model_version TEXT NOT NULL,
        span_kind TEXT NOT NULL,
        name TEXT NOT NULL,
        http_method TEXT NOT NULL,
        http_route TEXT NOT NULL,
        peer TEXT NOT NULL,
        operation TEXT NOT NULL,
        http_status_code BIGINT NOT NULL,
        is_error BIGINT NOT NULL,
        kept_as TEXT NOT NULL,
        detail {bytes} NOT NULL,
        PRIMARY KEY (start_s, end_ns, trace_id, span_id)
    ) {partitioned}""",
    "CREATE INDEX kept_spans_by_trace ON kept_spans (trace_id)",
    "CREATE INDEX kept_spans_by_service ON kept_spans (service_name, start_s, end_ns)",
    "CREATE INDEX kept_spans_by_duration ON kept_spans (duration_ns, start_s)",
    "CREATE INDEX kept_spans_of_service_by_duration ON kept_spans (service_name, duration_ns, start_s)",
    # Errors are few and looked for most, whatever the rest of the question.
    "CREATE INDEX kept_spans_of_errors ON kept_spans (start_s, end_ns, service_name) WHERE is_error = 1",
    OnPostgres("CREATE TABLE kept_spans_rest PARTITION OF kept_spans DEFAULT"),
)
