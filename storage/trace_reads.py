"""Finding kept spans: by what they are, in bounded steps, or all of one trace.

Run by the history within a reading transaction. A search looks at a bounded number of spans in the order of an index;
so a question that hardly anything matches takes no longer than another, and is gone on with from where it ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, text

from storage.dialects import Dialect
from storage.schema import kept_spans
from storage.trace_ports import FoundSpans, FoundTrace, Order, Place, SpanFilter
from telemetry import KeptSpan

_TEXTS: Final = (
    "deployment_environment",
    "service_version",
    "service_instance_id",
    "model_name",
    "http_route",
    "operation",
)
_COLUMNS: Final = ", ".join(KeptSpan._fields[:-1])
_KEYS: Final = {
    "time": ("start_s", "end_ns", "trace_id", "span_id"),
    "duration": ("duration_ns", "end_ns", "trace_id", "span_id"),
}
_FEW: Final = 50_000
"""So many spans of a time are sorted by duration at once; where there are more, the index by duration is walked."""


def find_spans(
    connection: Connection,
    dialect: Dialect,
    where: SpanFilter,
    order: Order,
    limit: int,
    after: Place | None,
    max_searched: int,
) -> FoundSpans:
    """Return up to `limit` spans that match, looking at `max_searched` at most."""
    dialect.hold_still(connection, [kept_spans])
    is_walked = order == "duration" and _count(connection, where, _FEW) >= _FEW
    table = "kept_spans" + dialect.by_index.format(_index(where, order, is_walked=is_walked))
    first, values = _first_conditions(where)
    further, more = _further_conditions(where)
    # Only walking by duration meets the bounds in its order; elsewhere what lies between would be looked at uncounted.
    (first if is_walked else further).extend(_duration_conditions(where))
    key = _KEYS[order]
    if after is not None:
        names = [f"after_{name}" for name in key]
        # The first field alone as well: row values are not looked up in an index by all databases.
        first += [f"{key[0]} <= :after_{key[0]}", f"({', '.join(key)}) < (:{', :'.join(names)})"]
        values |= dict(zip(names, after, strict=True))
    by = ", ".join(f"{name} DESC" for name in key)
    searched = f"SELECT * FROM {table} WHERE {' AND '.join(first)} ORDER BY {by} LIMIT :max_searched"
    statement = f"SELECT {_COLUMNS} FROM ({searched}) AS searched{_where(further)} ORDER BY {by} LIMIT :most"
    # Where nothing further is asked, the first so many are the answer.
    values |= {**more, "max_searched": max_searched if further else limit, "most": limit}
    spans = [_span(row) for row in connection.execute(text(statement), values)]
    if len(spans) == limit:
        return FoundSpans(spans, _place(spans[-1], key), limit)
    last = connection.execute(
        text(f"SELECT {', '.join(key)} FROM {table} WHERE {' AND '.join(first)} ORDER BY {by} LIMIT 1 OFFSET :most"),
        {**values, "most": (max_searched if further else limit) - 1},
    ).first()
    place = None if last is None else (int(last[0]), int(last[1]), bytes(last[2]), bytes(last[3]))
    return FoundSpans(spans, place, max_searched)


def count_spans(connection: Connection, dialect: Dialect, where: SpanFilter, limit: int) -> int:
    """Return how many spans match, at most `limit`, looking at no more than four times as many."""
    dialect.hold_still(connection, [kept_spans])
    table = "kept_spans" + dialect.by_index.format(_index(where, "time", is_walked=False))
    first, values = _first_conditions(where)
    further, more = _further_conditions(where)
    further += _duration_conditions(where)
    searched = f"SELECT * FROM {table} WHERE {' AND '.join(first)} LIMIT :searched"
    statement = f"SELECT COUNT(*) FROM (SELECT 1 FROM ({searched}) AS s{_where(further)} LIMIT :most) AS found"
    return connection.scalar(text(statement), {**values, **more, "searched": 4 * limit, "most": limit}) or 0


def read_trace(connection: Connection, dialect: Dialect, trace_id: bytes, limit: int) -> FoundTrace:
    """Return the spans of a trace by when they began, the first `limit`, and how many there are."""
    dialect.hold_still(connection, [kept_spans])
    names = ", ".join(KeptSpan._fields)
    rows = connection.execute(
        text(
            f"SELECT {names} FROM kept_spans WHERE trace_id = :trace_id "
            "ORDER BY end_ns - duration_ns, duration_ns DESC, span_id LIMIT :most"
        ),
        {"trace_id": trace_id, "most": limit},
    )
    spans = [_span(row) for row in rows]
    kept = len(spans)
    if kept == limit:
        kept = connection.scalar(text("SELECT COUNT(*) FROM kept_spans WHERE trace_id = :id"), {"id": trace_id}) or 0
    return FoundTrace(spans, kept)


def oldest_span_s(connection: Connection, dialect: Dialect) -> int | None:
    """Return the second of the oldest span."""
    dialect.hold_still(connection, [kept_spans])
    oldest: int | None = connection.scalar(text("SELECT MIN(start_s) FROM kept_spans"))
    return oldest


def _count(connection: Connection, where: SpanFilter, limit: int) -> int:
    first, values = _first_conditions(where)
    statement = f"SELECT COUNT(*) FROM (SELECT 1 FROM kept_spans WHERE {' AND '.join(first)} LIMIT :most) AS found"
    return connection.scalar(text(statement), {**values, "most": limit}) or 0


def _index(where: SpanFilter, order: Order, *, is_walked: bool) -> str:
    if where.is_error and not is_walked:
        return "kept_spans_of_errors"
    if order == "duration" and is_walked:
        return "kept_spans_by_duration" if where.service_name is None else "kept_spans_of_service_by_duration"
    # Without a service it is the primary key, which begins with the time.
    return "sqlite_autoindex_kept_spans_1" if where.service_name is None else "kept_spans_by_service"


def _first_conditions(where: SpanFilter) -> tuple[list[str], dict[str, Any]]:
    """Return what an index answers: the time, the service, whether it is an error."""
    conditions = ["start_s >= :start_s", "start_s < :end_s"]
    values: dict[str, Any] = {"start_s": where.start_s, "end_s": where.end_s}
    if where.service_name is not None:
        conditions.append("service_name = :service_name")
        values["service_name"] = where.service_name
    if where.is_error:
        conditions.append("is_error = 1")
    return conditions, values


def _duration_conditions(where: SpanFilter) -> list[str]:
    bounds = ((">=", where.min_duration_ns), ("<", where.max_duration_ns))
    return [f"duration_ns {sign} {bound:d}" for sign, bound in bounds if bound is not None]


def _further_conditions(where: SpanFilter) -> tuple[list[str], dict[str, Any]]:
    conditions: list[str] = []
    values: dict[str, Any] = {}
    for name in _TEXTS:
        wanted = getattr(where, name)
        if wanted is not None:
            conditions.append(f"{name} = :{name}")
            values[name] = wanted
    if where.span_kinds is not None:
        names = {f"kind_{number}": kind for number, kind in enumerate(sorted(where.span_kinds))}
        conditions.append(f"span_kind IN ({', '.join(f':{name}' for name in names)})" if names else "1 = 0")
        values |= names
    if where.status_codes is not None:
        conditions.append("http_status_code >= :from_code AND http_status_code < :to_code")
        values |= dict(zip(("from_code", "to_code"), where.status_codes, strict=True))
    if where.is_error is False:
        conditions.append("is_error = 0")
    return conditions, values


def _where(conditions: Sequence[str]) -> str:
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def _span(row: Sequence[Any]) -> KeptSpan:
    """Return the span of a row; without its last column, what it held is left out."""
    fields: list[Any] = [bytes(field) if isinstance(field, bytes | memoryview) else field for field in row]
    return KeptSpan(*fields, *[b""] * (len(KeptSpan._fields) - len(fields)))


def _place(span: KeptSpan, key: Sequence[str]) -> Place:
    first: int = getattr(span, key[0])
    return first, span.end_ns, span.trace_id, span.span_id
