"""Chooses the spans that are kept for traces, out of a group that is about to be committed.

Stands between `span_columns` and the commit. Errors and the slowest of each route come first, then what belongs to
their traces, then a sample of all traces; a budget bounds them together. The work on all spans is numpy's; only those
that are kept are looked at one by one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from processor import derivation
from processor.attributes import Resource
from processor.route_quotas import RouteQuotas
from processor.span_columns import EXCLUDED, SeenSpans
from processor.span_details import SpanDetails
from processor.trace_sampling import TRACE_ID_BYTES, Budget, SampleLevel, is_sampled, trace_hashes
from processor.trace_settings import TraceSettings
from telemetry import KeptAs, KeptSpan, NowNs, SpanKind
from telemetry.kept_span import NS_PER_S

_BURST_S: Final = 10
_RESERVE: Final = 0.25
"""The share of the budget that a sample leaves for errors and what is slow."""
_REMEMBERED_TRACES: Final = 10_000
_SPAN_ID_BYTES: Final = 8


class TraceKeeper:
    """Chooses; remembers what is left of the budget and which traces are of interest. For one thread at a time."""

    def __init__(self, settings: TraceSettings, text_limit_chars: int, now_ns: NowNs) -> None:
        self._is_enabled = settings.is_enabled
        self._text_limit_chars = text_limit_chars
        self._now_ns = now_ns
        self._details = SpanDetails(settings)
        self._level = SampleLevel(settings.max_spans_per_s)
        self._quotas = RouteQuotas(settings.max_errors_per_route, settings.max_slow_per_route)
        self._spans_left = Budget(settings.max_spans_per_s, _BURST_S)
        self._bytes_left = Budget(settings.max_bytes_per_s, _BURST_S)
        self._interesting: dict[int, None] = {}  # hashes of trace ids, oldest first

    @property
    def ratio(self) -> float:
        """The share of all traces that is kept now."""
        return 2.0**-self._level.level if self._is_enabled else 0.0

    def keep(self, group: Sequence[SeenSpans]) -> list[KeptSpan]:
        """Return the records of those that are kept, of all spans of a group."""
        if not self._is_enabled or not group:
            return []
        now_ns = self._now_ns()
        self._quotas.begin(now_ns // NS_PER_S)
        self._spans_left.refill(now_ns)
        self._bytes_left.refill(now_ns)
        level = self._level.note(sum(len(seen.spans) for seen in group), now_ns)
        # In two rounds, so that no sample of an earlier batch takes the room of a later one's errors.
        chosen = [_Choice(seen) for seen in group if seen.spans]
        kept: list[KeptSpan] = []
        for choice in chosen:
            kept += self._recorded(choice, self._outstanding(choice))
        known = np.sort(np.fromiter(self._interesting, dtype=np.uint64, count=len(self._interesting)))
        for choice in chosen:
            if known.size:
                beside = choice.rows_left(np.isin(choice.hashes, known))
                kept += self._recorded(choice, ((row, KeptAs.BESIDE) for row in beside))
        for choice in chosen:
            rows = choice.rows_left(is_sampled(choice.hashes, level))
            # Where the budget ends, it ends for the same traces everywhere.
            in_order = rows[np.argsort(choice.hashes[rows], kind="stable")].tolist()
            kept += self._recorded(choice, ((row, KeptAs.SAMPLE) for row in in_order))
        return kept

    def _outstanding(self, choice: _Choice) -> Iterator[tuple[int, KeptAs]]:
        """Yield the errors and the slow ones that are kept, and remember their traces."""
        seen = choice.seen
        rows = np.flatnonzero((seen.outcome >= 0) & choice.is_eligible)
        outcome = seen.outcome[rows]
        routes = self._quotas.routes_of(seen.series, outcome >> 1)
        is_error = (outcome & 1).astype(np.bool_)
        start_ns, end_ns = seen.start_ns[rows], seen.end_ns[rows]
        duration_ns = np.where(start_ns > end_ns, 0, end_ns - start_ns).astype(np.int64)
        found = [(row, KeptAs.ERROR) for row in self._quotas.take_errors(rows[is_error], routes[is_error])]
        found += [(row, KeptAs.SLOW) for row in self._quotas.take_slow(rows, routes, duration_ns)]
        for row, kept_as in found:
            trace = int(choice.hashes[row])
            self._interesting.pop(trace, None)
            self._interesting[trace] = None
            if len(self._interesting) > _REMEMBERED_TRACES:
                del self._interesting[next(iter(self._interesting))]
            yield row, kept_as

    def _recorded(self, choice: _Choice, rows: Iterator[tuple[int, KeptAs]]) -> Iterator[KeptSpan]:
        for row, kept_as in rows:
            if choice.is_taken[row]:
                continue
            reserve = _RESERVE if kept_as is KeptAs.SAMPLE else 0.0
            if not self._spans_left.take(1, reserve=reserve):
                return
            record = self._record(choice, row, kept_as)
            if record is None:
                continue
            if not self._bytes_left.take(len(record.detail), reserve=reserve):
                return
            choice.is_taken[row] = True
            yield record

    def _record(self, choice: _Choice, row: int, kept_as: KeptAs) -> KeptSpan | None:
        """Return the record of a span, `None` if its ids are not those of one or it is the canary's."""
        seen, span = choice.seen, choice.seen.spans[row]
        whole = self._details.parse(span.SerializeToString())
        if whole is None or len(whole.trace_id) != TRACE_ID_BYTES or len(whole.span_id) != _SPAN_ID_BYTES:
            return None
        outcome, limit = int(seen.outcome[row]), self._text_limit_chars
        kind = derivation.KIND_OF[span.kind]
        if outcome >= 0:
            series = seen.series[outcome >> 1]
            if series.span_kind == SpanKind.CANARY:
                return None
        else:
            series = derivation.plain_series_of(kind, choice.resource_of(row).attributes, limit)
        end_ns = int(seen.end_ns[row])
        return KeptSpan(
            start_s=end_ns // NS_PER_S,
            end_ns=end_ns,
            trace_id=whole.trace_id,
            span_id=whole.span_id,
            parent_span_id=whole.parent_span_id[:_SPAN_ID_BYTES],
            duration_ns=max(end_ns - int(seen.start_ns[row]), 0),
            service_name=series.service_name,
            service_version=series.service_version,
            service_instance_id=series.service_instance_id,
            deployment_environment=series.deployment_environment,
            model_name=series.model_name,
            model_version=series.model_version,
            span_kind=kind,
            name=derivation.text_of(whole.name, limit),
            http_method=series.http_method,
            http_route=series.http_route,
            peer=series.peer,
            operation=series.operation,
            http_status_code=self._details.http_status_code_of(whole),
            is_error=int((outcome >= 0 and outcome & 1) or span.status.code == derivation.STATUS_CODE_ERROR),
            kept_as=kept_as,
            detail=self._details.of(whole),
        )


class _Choice:
    """The spans of one batch, and which of them are taken already."""

    def __init__(self, seen: SeenSpans) -> None:
        self.seen = seen
        self.hashes = trace_hashes([span.trace_id for span in seen.spans])
        self.is_taken: NDArray[np.bool_] = np.zeros(len(seen.spans), dtype=np.bool_)
        self.is_eligible = seen.is_timely
        is_excluded = seen.outcome == EXCLUDED
        if is_excluded.any():  # with a probe goes all that was done for it
            self.is_eligible = self.is_eligible & ~np.isin(self.hashes, self.hashes[is_excluded])

    def rows_left(self, is_wanted: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return the rows that are wanted and not taken."""
        return np.flatnonzero(is_wanted & self.is_eligible & ~self.is_taken)

    def resource_of(self, row: int) -> Resource:
        """Return the resource of a row."""
        resources = self.seen.resources
        return resources[bisect_right(resources, row, key=lambda one: one[0]) - 1][1]
