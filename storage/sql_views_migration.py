"""The step of the schema that makes what people ask PostgreSQL in SQL: views and functions; `migrations.py` applies it.

Documented in docs/sql.md, where names and columns are promised. Read by Grafana and by whoever likes SQL, never by
ModelWatch itself. Which rows are the truth at a time is said here once more as SQL, as `storage/tiers.py` has it.
Never changes once released, like every step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from storage.migration_words import OnPostgres

_INT64: Final = """CREATE FUNCTION modelwatch_int64(raw BYTEA, place INT) RETURNS BIGINT
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT get_byte(raw, place)::bigint | (get_byte(raw, place + 1)::bigint << 8)
        | (get_byte(raw, place + 2)::bigint << 16)
        | (get_byte(raw, place + 3)::bigint << 24) | (get_byte(raw, place + 4)::bigint << 32)
        | (get_byte(raw, place + 5)::bigint << 40) | (get_byte(raw, place + 6)::bigint << 48)
        | (get_byte(raw, place + 7)::bigint << 56)
$$"""
"""Little-endian numbers, as `struct` writes them; PostgreSQL reads bytes one by one only."""

_FLOAT64: Final = """CREATE FUNCTION modelwatch_float64(raw BYTEA, place INT) RETURNS FLOAT8
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE exponent
        WHEN 2047 THEN CASE WHEN fraction = 0 THEN sign * 'Infinity'::float8 ELSE 'NaN'::float8 END
        WHEN 0 THEN sign * (fraction / power(2::float8, 52)) * power(2::float8, -1022)
        ELSE sign * (1 + fraction / power(2::float8, 52)) * power(2::float8, exponent - 1023)
    END
    FROM (
        SELECT CASE WHEN bits < 0 THEN -1::float8 ELSE 1::float8 END AS sign, ((bits >> 52) & 2047)::int AS exponent,
            (bits & 4503599627370495)::float8 AS fraction
        FROM (SELECT modelwatch_int64(raw, place) AS bits OFFSET 0) AS whole
    ) AS parts
$$"""

_PERCENTILES: Final = """CREATE FUNCTION modelwatch_percentiles_s(durations BYTEA[], shares FLOAT8[]) RETURNS FLOAT8[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    WITH buckets AS MATERIALIZED (
        SELECT ((get_byte(one, place) | (get_byte(one, place + 1) << 8)) # 32768) - 32768 AS bucket, sum(
                get_byte(one, place + 2)::float8 + get_byte(one, place + 3) * 256::float8
                + get_byte(one, place + 4) * 65536::float8 + get_byte(one, place + 5) * 16777216::float8
            ) AS calls
        FROM unnest(durations) AS one, generate_series(24, length(one) - 6, 6) AS place
        GROUP BY 1
    ), ranked AS MATERIALIZED (
        SELECT bucket, sum(calls) OVER (ORDER BY bucket) AS reached FROM buckets
    ), ends AS MATERIALIZED (
        SELECT min(modelwatch_int64(one, 8)) / 1e9::float8 AS low_s,
            max(modelwatch_int64(one, 16)) / 1e9::float8 AS high_s, (SELECT max(reached) FROM ranked) AS total
        FROM unnest(durations) AS one WHERE length(one) > 24
    )
    SELECT array_agg((
        SELECT CASE bucket
            WHEN -1916 THEN 0
            WHEN 1096 THEN high_s
            ELSE least(high_s, greatest(
                low_s, 2 * power(2::float8, (bucket + 1) / 64::float8) / (1 + power(2::float8, 1 / 64::float8))
            ))
        END
        FROM ranked, ends WHERE reached >= least(greatest(ceil(share * total - 1e-9), 1), total) ORDER BY bucket LIMIT 1
    ) ORDER BY place)
    FROM unnest(shares) WITH ORDINALITY AS wanted (share, place)
$$"""
"""`ExponentialHistogram.merge(...).quantiles(...)`. The two numbers are `ZERO_INDEX` and `OVERFLOW_INDEX`."""

_PERCENTILE: Final = """CREATE FUNCTION modelwatch_percentile_s(durations BYTEA[], share FLOAT8) RETURNS FLOAT8
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (modelwatch_percentiles_s(durations, ARRAY[share]))[1]
$$"""

_SERIES: Final = (
    "s.service_name, s.service_version, s.service_instance_id, s.deployment_environment, s.model_name, "
    "s.model_version, s.span_kind, s.http_method, s.http_route, s.http_status_class, s.peer, s.operation, s.overflow"
)
_WIDTH: Final = "(SELECT width_s FROM tiers WHERE rank = {})"
_MINUTE_S: Final = _WIDTH.format(1)
_HOUR_S: Final = _WIDTH.format(2)
_SECONDS_RETIRED: Final = "(SELECT retired_to_s FROM tiers WHERE rank = 0)"
_MINUTES_RETIRED: Final = "(SELECT retired_to_s FROM tiers WHERE rank = 1)"
_MINUTES_CLEARED: Final = "(SELECT cleared_to_s FROM tiers WHERE rank = 1)"
_DUE_MINUTES: Final = f"(SELECT DISTINCT start_s FROM rollups_due WHERE tier_s = {_MINUTE_S})"
_STALE_HOURS: Final = (
    f"(SELECT start_s FROM rollups_due WHERE tier_s = {_HOUR_S} "
    f"UNION SELECT start_s - mod(start_s, {_HOUR_S}) FROM rollups_due WHERE tier_s = {_MINUTE_S})"
)

# Conditions on rows of a table `p`, as `tiers.Plan` has them. What came to a time after its finer rows had been retired
# lies in the finer table in addition to the coarser rows.
_IS_LATE_SECOND: Final = f"p.start_s < {_SECONDS_RETIRED}"
_IS_LATE_MINUTE: Final = f"p.start_s < {_MINUTES_CLEARED}"
_IS_KEPT_SECOND: Final = f"p.start_s >= {_SECONDS_RETIRED}"
_IS_KEPT_MINUTE: Final = f"p.start_s >= {_MINUTES_RETIRED}"
_IS_TRUE_MINUTE: Final = f"(p.start_s < {_SECONDS_RETIRED} OR p.start_s NOT IN {_DUE_MINUTES})"
_IS_TRUE_HOUR: Final = f"(p.start_s < {_MINUTES_RETIRED} OR p.start_s NOT IN {_STALE_HOURS})"


def _rows(table: str, rank: int, where: str, *, start_s: str = "p.start_s", join: str = "") -> str:
    return (
        f"SELECT {start_s} AS start_s, {_WIDTH.format(rank)} AS width_s, p.series_id, p.calls, p.errors, p.durations "
        f"FROM {table} AS p {join} WHERE {where}"
    )


def _floor(width_s: str) -> str:
    return f"p.start_s - mod(p.start_s, {width_s})"


def _within(buckets: str, width_s: str) -> str:
    """Join by the bucket, so that a condition on its start finds the finer rows by their index."""
    return f"JOIN {buckets} AS d ON p.start_s >= d.start_s AND p.start_s < d.start_s + {width_s}"


_FINEST_ROWS: Final = " UNION ALL ".join(
    (
        _rows("red_points", 0, "TRUE"),
        _rows("red_points_medium", 1, f"{_IS_LATE_SECOND} AND ({_IS_KEPT_MINUTE} OR {_IS_LATE_MINUTE})"),
        _rows("red_points_coarse", 2, f"p.start_s < {_MINUTES_RETIRED}"),
    )
)
_MINUTE_ROWS: Final = " UNION ALL ".join(
    (
        _rows("red_points", 0, _IS_KEPT_SECOND, start_s="d.start_s", join=_within(_DUE_MINUTES, _MINUTE_S)),
        _rows("red_points", 0, _IS_LATE_SECOND, start_s=_floor(_MINUTE_S)),
        _rows("red_points_medium", 1, f"{_IS_TRUE_MINUTE} AND ({_IS_KEPT_MINUTE} OR {_IS_LATE_MINUTE})"),
        _rows("red_points_coarse", 2, f"p.start_s < {_MINUTES_RETIRED}"),
    )
)
_HOUR_ROWS: Final = " UNION ALL ".join(
    (
        _rows("red_points", 0, _IS_KEPT_SECOND, start_s=_floor(_HOUR_S), join=_within(_DUE_MINUTES, _MINUTE_S)),
        _rows("red_points", 0, _IS_LATE_SECOND, start_s=_floor(_HOUR_S)),
        _rows(
            "red_points_medium",
            1,
            f"{_IS_TRUE_MINUTE} AND {_IS_KEPT_MINUTE}",
            start_s="d.start_s",
            join=_within(_STALE_HOURS, _HOUR_S),
        ),
        _rows("red_points_medium", 1, _IS_LATE_MINUTE, start_s=_floor(_HOUR_S)),
        _rows("red_points_coarse", 2, _IS_TRUE_HOUR),
    )
)


def _red_view(name: str, rows: str) -> str:
    return (
        f"CREATE VIEW {name} AS SELECT to_timestamp(p.start_s) AS time, p.start_s, p.width_s, {_SERIES}, "
        "p.calls, p.errors, "
        "CASE WHEN s.http_status_class = '4xx' THEN p.calls ELSE 0 END AS client_errors, "
        "modelwatch_int64(p.durations, 0) / 1e9::float8 AS duration_sum_s, p.durations "
        f"FROM ({rows}) AS p LEFT JOIN series AS s ON s.series_id = p.series_id"
    )


_SERVICES: Final = """CREATE VIEW modelwatch_services_1m AS
    SELECT to_timestamp(start_s) AS time, start_s, service_name, deployment_environment, calls, errors, client_errors,
        duration_sum_s, durations_s[1] AS p50_s, durations_s[2] AS p95_s, durations_s[3] AS p99_s
    FROM (
        SELECT start_s, service_name, deployment_environment, sum(calls)::bigint AS calls,
            sum(errors)::bigint AS errors, sum(client_errors)::bigint AS client_errors,
            sum(duration_sum_s) AS duration_sum_s,
            modelwatch_percentiles_s(array_agg(durations), ARRAY[0.5, 0.95, 0.99]) AS durations_s
        FROM modelwatch_red_1m WHERE span_kind IN ('SERVER', 'CONSUMER')
        GROUP BY start_s, service_name, deployment_environment
    ) AS summed"""

_METRIC_ROWS: Final = " UNION ALL ".join(
    f"SELECT p.start_s, {_WIDTH.format(rank)} AS width_s, p.series_id, p.state FROM {table} AS p WHERE {where}"
    for rank, (table, where) in enumerate(
        (
            ("metric_points", "TRUE"),
            ("metric_points_medium", f"{_IS_LATE_SECOND} AND ({_IS_KEPT_MINUTE} OR {_IS_LATE_MINUTE})"),
            ("metric_points_coarse", f"p.start_s < {_MINUTES_RETIRED}"),
        )
    )
)
# The first byte tells the kind (`telemetry/metric_states.py`): 114 is "r", readings; 116 is "t", running totals, of
# which the second byte tells how many starts there are.
_METRICS: Final = f"""CREATE VIEW modelwatch_metrics AS
    SELECT to_timestamp(p.start_s) AS time, p.start_s, p.width_s, s.service_name, s.service_version,
        s.service_instance_id, s.deployment_environment, s.metric_name, s.metric_unit, s.metric_type, s.temporality,
        s.is_monotonic = 'true' AS is_monotonic, s.scope_name, s.resource::jsonb AS resource,
        s.attributes::jsonb AS attributes, p.series_id,
        CASE WHEN get_byte(p.state, 0) = 114 THEN modelwatch_float64(p.state, 33)
            WHEN get_byte(p.state, 0) = 116 AND get_byte(p.state, 1) = 1 AND s.metric_type = 'sum'
            THEN modelwatch_float64(p.state, 27) END AS value,
        CASE WHEN get_byte(p.state, 0) = 114 THEN modelwatch_int64(p.state, 25) / 1e9::float8
            WHEN get_byte(p.state, 0) = 116 AND get_byte(p.state, 1) = 1 AND s.metric_type = 'sum'
            THEN modelwatch_int64(p.state, 19) / 1e9::float8 END AS value_at_s
    FROM ({_METRIC_ROWS}) AS p JOIN metric_series AS s ON s.series_id = p.series_id"""

_SPANS: Final = """CREATE VIEW modelwatch_spans AS
    SELECT to_timestamp(end_ns / 1e9::float8) AS time, start_s AS end_s, encode(trace_id, 'hex') AS trace_id,
        encode(span_id, 'hex') AS span_id, encode(parent_span_id, 'hex') AS parent_span_id,
        duration_ns / 1e9::float8 AS duration_s, service_name, service_version, service_instance_id,
        deployment_environment, model_name, model_version, span_kind, name, http_method, http_route, peer, operation,
        nullif(http_status_code, 0) AS http_status_code, is_error = 1 AS is_error, kept_as
    FROM kept_spans"""

_ALERTS: Final = """CREATE VIEW modelwatch_alerts AS
    SELECT alert_id, rule_id, phase,
        CASE WHEN (state #>> ARRAY['critical', 'is_on'])::boolean THEN 'critical'
            WHEN (state #>> ARRAY['warning', 'is_on'])::boolean THEN 'warning' END AS severity,
        to_timestamp((state ->> 'since_s')::float8) AS since, (state ->> 'value')::float8 AS value,
        state ->> 'reason' AS reason, labels
    FROM (
        SELECT alert_id, rule_id, phase, document::jsonb -> 'state' AS state, document::jsonb -> 'labels' AS labels
        FROM alert_states OFFSET 0
    ) AS read"""

_PROCESSES: Final = """CREATE VIEW modelwatch_processes AS
    SELECT process_id, report ->> 'role' AS role, report ->> 'version' AS version, report ->> 'host' AS host,
        (report ->> 'pid')::int AS pid, to_timestamp((report ->> 'started_ms')::float8 / 1000) AS started,
        to_timestamp(noted_ms / 1000::float8) AS noted, (report ->> 'has_ended')::boolean AS has_ended,
        report -> 'failures' AS failures
    FROM (
        SELECT process_id, noted_ms, document::jsonb AS report FROM process_reports WHERE process_id <> 'past' OFFSET 0
    ) AS read"""

_PIPELINE: Final = """CREATE VIEW modelwatch_pipeline AS
    SELECT to_timestamp(c.start_s) AS time, c.start_s, signal.key AS signal, counted.key AS name,
        counted.value::float8 AS value
    FROM pipeline_course AS c, jsonb_each(c.document::jsonb -> 'sums') AS signal, jsonb_each(signal.value) AS counted
    UNION ALL
    SELECT to_timestamp(c.start_s), c.start_s, '', held.key, held.value::float8
    FROM pipeline_course AS c, jsonb_each(c.document::jsonb -> 'gauges') AS held"""

SQL_VIEWS_STEP: Final[Sequence[str]] = tuple(
    OnPostgres(statement)
    for statement in (
        _INT64,
        _FLOAT64,
        _PERCENTILES,
        _PERCENTILE,
        _red_view("modelwatch_red", _FINEST_ROWS),
        _red_view("modelwatch_red_1m", _MINUTE_ROWS),
        _red_view("modelwatch_red_1h", _HOUR_ROWS),
        _SERVICES,
        _METRICS,
        _SPANS,
        _ALERTS,
        _PROCESSES,
        _PIPELINE,
    )
)
