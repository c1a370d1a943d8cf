"""Chooses the spans of a batch that are kept for traces.

Called by the decoder of `span_columns.py`. Errors and the slowest of each route come first, then what belongs to
their traces, then a sample of all traces; a budget bounds them together. The work on all spans is numpy's; only those
that are kept are looked at one by one.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from processor import derivation
from processor.attributes import Resource
from processor.route_quotas import RouteQuotas
from processor.seen_spans import EXCLUDED, SeenSpans
from processor.span_details import SpanDetails
from processor.trace_sampling import TRACE_ID_BYTES, Budget, SampleLevel, is_sampled, trace_hashes
from processor.trace_settings import TraceSettings
from telemetry import KeptAs, KeptSpan, NowNs, SpanKind
from telemetry.kept_span import NS_PER_S

_BURST_S: Final = 10
_RESERVE: Final = 0.25
"""The share of the budget that is left for errors and what is slow."""
_OUTSTANDING: Final = (KeptAs.ERROR, KeptAs.SLOW)
_REMEMBERED_TRACES: Final = 2_000
_SPAN_ID_BYTES: Final = 8


class TraceKeeper:
    """Chooses; remembers what is left of the budget and which traces are of interest. For one thread at a time."""

    def __init__(self, settings: TraceSettings, text_limit_chars: int, now_ns: NowNs) -> None:
        self._text_limit_chars = text_limit_chars
        self._now_ns = now_ns
        self._wanted = settings
        self._take(settings)
        self._interesting: dict[int, None] = {}  # hashes of trace ids, oldest first
        self._sorted: NDArray[np.uint64] | None = None

    def use(self, settings: TraceSettings) -> None:
        """Keep as much as these settings say from the next batch on; from any thread."""
        self._wanted = settings

    def _take(self, settings: TraceSettings) -> None:
        self._settings = settings
        self._is_enabled = settings.is_enabled
        self._details = SpanDetails(settings)
        self._level = SampleLevel(settings.max_spans_per_s)
        self._quotas = RouteQuotas(settings.max_errors_per_route, settings.max_slow_per_route)
        self._spans_left = Budget(settings.max_spans_per_s, _BURST_S)
        self._bytes_left = Budget(settings.max_bytes_per_s, _BURST_S)

    @property
    def ratio(self) -> float:
        """The share of all traces that is kept now."""
        return 2.0**-self._level.level if self._is_enabled else 0.0

    def keep(self, seen: SeenSpans) -> list[KeptSpan]:
        """Return the records of those that are kept, of all spans of a batch."""
        if (wanted := self._wanted) is not self._settings:
            self._take(wanted)
        if not self._is_enabled or not seen.trace_ids:
            return []
        now_ns = self._now_ns()
        self._quotas.begin(now_ns // NS_PER_S)
        self._spans_left.refill(now_ns)
        self._bytes_left.refill(now_ns)
        level = self._level.note(len(seen.trace_ids), now_ns)
        hashes = trace_hashes(seen.trace_ids)
        is_left = seen.is_timely.copy()
        is_excluded = seen.outcome == EXCLUDED
        if np.count_nonzero(is_excluded):  # with a probe goes all that was done for it
            is_left &= ~np.isin(hashes, hashes[is_excluded])
        chosen = self._outstanding(seen, hashes, is_left)
        if chosen:
            is_left[list(chosen)] = False
        if self._interesting:
            if self._sorted is None:
                self._sorted = np.sort(np.fromiter(self._interesting, np.uint64, len(self._interesting)))
            places = np.minimum(self._sorted.searchsorted(hashes), len(self._sorted) - 1)
            beside = ((self._sorted[places] == hashes) & is_left).nonzero()[0]
            chosen |= dict.fromkeys(beside.tolist(), KeptAs.BESIDE)
            is_left[beside] = False
        sampled = (is_sampled(hashes, level) & is_left).nonzero()[0]
        if sampled.size:
            # Where the budget ends, it ends for the same traces everywhere.
            in_order = sampled[hashes[sampled].argsort(kind="stable")]
            chosen |= dict.fromkeys(in_order.tolist(), KeptAs.SAMPLE)
        return self._records(seen, self._affordable(chosen)) if chosen else []

    def _outstanding(
        self, seen: SeenSpans, hashes: NDArray[np.uint64], is_eligible: NDArray[np.bool_]
    ) -> dict[int, KeptAs]:
        """Return the errors and the slow ones that are kept, by row, and remember their traces."""
        rows = ((seen.outcome >= 0) & is_eligible).nonzero()[0]
        if not rows.size:
            return {}
        outcome = seen.outcome[rows]
        routes = self._quotas.routes_of(seen.series, outcome >> 1)
        is_error = (outcome & 1).astype(np.bool_)
        start_ns, end_ns = seen.start_ns[rows], seen.end_ns[rows]
        duration_ns = np.where(start_ns > end_ns, 0, end_ns - start_ns).astype(np.int64)
        errors = self._quotas.take_errors(rows[is_error], routes[is_error]) if np.count_nonzero(is_error) else []
        slow = self._quotas.take_slow(rows, routes, duration_ns)
        # An error stands first, and is told as one even if it is slow.
        found = dict.fromkeys(errors, KeptAs.ERROR) | dict.fromkeys(set(slow) - set(errors), KeptAs.SLOW)
        for row in found:
            trace = int(hashes[row])
            if trace not in self._interesting:
                self._interesting[trace] = None
                self._sorted = None
                if len(self._interesting) > _REMEMBERED_TRACES:
                    del self._interesting[next(iter(self._interesting))]
        return found

    def _affordable(self, chosen: dict[int, KeptAs]) -> dict[int, KeptAs]:
        """Return the first of the chosen, as many as the budget has room for, some of it for what stands out only."""
        return {
            row: kept_as
            for row, kept_as in chosen.items()
            if self._spans_left.take(1, reserve=0.0 if kept_as in _OUTSTANDING else _RESERVE)
        }

    def _records(self, seen: SeenSpans, chosen: dict[int, KeptAs]) -> list[KeptSpan]:
        records = []
        for row, span, resource in seen.spans_of(list(chosen)):
            record = self._record(seen, row, span, resource, chosen[row])
            if record is not None and self._bytes_left.take(len(record.detail)):
                records.append(record)
        return records

    def _record(self, seen: SeenSpans, row: int, span: Any, resource: Resource, kept_as: KeptAs) -> KeptSpan | None:
        """Return the record of a span, `None` if its ids are not those of one or it is the canary's."""
        whole = self._details.parse(span.SerializeToString())
        if whole is None or not _is_id(whole.trace_id, TRACE_ID_BYTES) or not _is_id(whole.span_id, _SPAN_ID_BYTES):
            return None
        outcome, limit = int(seen.outcome[row]), self._text_limit_chars
        kind = derivation.KIND_OF[span.kind]
        if outcome >= 0:
            series = seen.series[outcome >> 1]
            if series.span_kind == SpanKind.CANARY:
                return None
        else:
            series = derivation.plain_series_of(kind, resource.attributes, limit)
        end_ns = int(seen.end_ns[row])
        return KeptSpan(
            start_s=end_ns // NS_PER_S,
            end_ns=end_ns,
            trace_id=whole.trace_id,
            span_id=whole.span_id,
            parent_span_id=whole.parent_span_id if _is_id(whole.parent_span_id, _SPAN_ID_BYTES) else b"",
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


def _is_id(raw: bytes, length: int) -> bool:
    """Tell whether bytes are an id; all zeros are none (trace.proto), which some senders write for a missing parent."""
    return len(raw) == length and any(raw)
