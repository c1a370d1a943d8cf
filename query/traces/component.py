"""The questions about single requests, answered from the spans that were kept.

Used by the API and the page of traces. How many requests there were in all is asked of RED figures, which count each.
"""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass, replace
from typing import Final

from query.blocks import nice_step_s
from query.component import Query
from query.question import QuestionError, check_range
from query.settings import QuerySettings
from query.traces.answers import KeptCount, TraceAnswer, TracesAnswer
from query.traces.reading import request_of, spans_in_order
from storage.ports import SeriesFilter
from storage.trace_ports import Order, Place, SpanFilter, TraceHistory
from telemetry import REQUEST_KINDS, NowNs

_TRACE_ID: Final = re.compile(r"[0-9a-f]{32}")
_CURSOR: Final = re.compile(r"([td])\.(\d{1,19})\.(\d{1,19})\.([0-9a-f]{32})\.([0-9a-f]{16})")
_REQUESTS: Final = frozenset(str(kind) for kind in REQUEST_KINDS)
_STATUS_CLASS: Final = re.compile(r"[1-5]xx")
_LARGEST: Final = 2**63 - 1
_NS_PER_S: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class TraceFilter:
    """Which requests are wanted; what is `None` lets everything through. Durations in seconds."""

    service: str | None = None
    environment: str | None = None
    version: str | None = None
    instance: str | None = None
    model: str | None = None
    route: str | None = None
    operation: str | None = None
    status_class: str | None = None
    is_error: bool | None = None
    min_duration_s: float | None = None
    max_duration_s: float | None = None
    span_kinds: frozenset[str] = _REQUESTS


class TraceQuery:
    """Answers questions about traces."""

    def __init__(
        self, settings: QuerySettings, query: Query, history: TraceHistory, now_ns: NowNs = time.time_ns
    ) -> None:
        self._settings = settings
        self._query = query
        self._history = history
        self._now_ns = now_ns

    async def traces(
        self,
        start_s: int,
        end_s: int,
        where: TraceFilter | None = None,
        order: Order = "time",
        limit: int = 50,
        cursor: str | None = None,
    ) -> TracesAnswer:
        """Return requests that ended in [start_s, end_s), the latest or the longest first.

        Only the first page, without a `cursor`, tells how many were kept of how many.
        Raises `QuestionError` and `StorageUnavailableError`.
        """
        where = TraceFilter() if where is None else where
        check_range(start_s, end_s, self._settings)
        if not 1 <= limit <= self._settings.max_found_traces:
            raise QuestionError("limit", f"1 to {self._settings.max_found_traces} are allowed")
        after = None if cursor is None else _place_of(cursor, order)
        wanted = _span_filter(start_s, end_s, where)
        found, since_s, count = await asyncio.gather(
            self._history.find_spans(wanted, order, limit, after),
            self._history.oldest_span_s(),
            self._count(wanted, where) if cursor is None else _nothing(),
        )
        return TracesAnswer(
            start_s=start_s,
            end_s=end_s,
            items=[request_of(span) for span in found.spans],
            next_cursor=None if found.after is None else _cursor_of(found.after, order),
            is_cut_short=found.after is not None and len(found.spans) < limit,
            count=count,
            kept_since_s=since_s,
        )

    async def trace(self, trace_id: str) -> TraceAnswer | None:
        """Return what is kept of a trace, `None` if nothing is. Raises like `traces`."""
        if not _TRACE_ID.fullmatch(trace_id.lower()):
            raise QuestionError("trace_id", "a trace id has 32 hexadecimal digits")
        found = await self._history.trace(bytes.fromhex(trace_id), self._settings.max_trace_spans)
        if not found.spans:
            return None
        spans = spans_in_order(found.spans)
        missing = {one.parent_span_id for one in spans if one.is_parent_missing}
        return TraceAnswer(trace_id.lower(), spans, found.kept, sorted(missing))

    async def _count(self, wanted: SpanFilter, where: TraceFilter) -> KeptCount:
        """Count what was kept, and all there were where figures tell them apart, of the same time."""
        most = self._settings.max_counted_spans
        start_s, end_s, calls = wanted.start_s, wanted.end_s, None
        if _is_counted_in_figures(where):
            series = SeriesFilter(
                service_name=where.service,
                deployment_environment=where.environment,
                model_name=where.model,
                service_version=where.version,
                http_route=where.route,
                span_kinds=where.span_kinds,
            )
            # Beyond the present there is nothing, and figures of it would only make the steps wider.
            end_s = max(min(end_s, self._now_ns() // _NS_PER_S + 1), start_s + 1)
            red = await self._query.red(start_s, end_s, nice_step_s(end_s - start_s), ("service",), series)
            start_s, end_s = red.start_s, red.end_s
            calls = sum(item.total.errors if where.is_error else item.total.calls for item in red.items)
        kept = await self._history.count_spans(replace(wanted, start_s=start_s, end_s=end_s), most + 1)
        return KeptCount(start_s, end_s, min(kept, most), kept > most, calls)


def _is_counted_in_figures(where: TraceFilter) -> bool:
    beyond = (where.instance, where.operation, where.status_class, where.min_duration_s, where.max_duration_s)
    return where.is_error is not False and all(one is None for one in beyond)


def _span_filter(start_s: int, end_s: int, where: TraceFilter) -> SpanFilter:
    codes = None
    if where.status_class is not None:
        if not _STATUS_CLASS.fullmatch(where.status_class):
            raise QuestionError("status_class", "use 1xx, 2xx, 3xx, 4xx or 5xx")
        codes = (int(where.status_class[0]) * 100, int(where.status_class[0]) * 100 + 100)
    return SpanFilter(
        start_s=start_s,
        end_s=end_s,
        service_name=where.service,
        deployment_environment=where.environment,
        service_version=where.version,
        service_instance_id=where.instance,
        model_name=where.model,
        http_route=where.route,
        operation=where.operation,
        span_kinds=where.span_kinds,
        status_codes=codes,
        is_error=where.is_error,
        min_duration_ns=_nanoseconds("min_duration_s", where.min_duration_s),
        max_duration_ns=_nanoseconds("max_duration_s", where.max_duration_s),
    )


def _nanoseconds(name: str, seconds: float | None) -> int | None:
    if seconds is None:
        return None
    if not 0 <= seconds <= 1e9:  # not a number is neither
        raise QuestionError(name, "a duration is 0 or more seconds")
    return round(seconds * _NS_PER_S)


def _cursor_of(place: Place, order: Order) -> str:
    first, end_ns, trace_id, span_id = place
    return f"{order[0]}.{first}.{end_ns}.{trace_id.hex()}.{span_id.hex()}"


def _place_of(cursor: str, order: Order) -> Place:
    match = _CURSOR.fullmatch(cursor)
    if match is None or match[1] != order[0] or max(int(match[2]), int(match[3])) > _LARGEST:
        raise QuestionError("cursor", "it is not the `next_cursor` of an answer in this order")
    return int(match[2]), int(match[3]), bytes.fromhex(match[4]), bytes.fromhex(match[5])


async def _nothing() -> None:
    return None
