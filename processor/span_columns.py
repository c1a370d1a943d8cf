"""An OTLP trace request as columns of numbers: for each span that counts its series, end, duration and outcome.

Stands between the bytes of a batch and `aggregation`; this loop over spans is what the processor spends its time on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from processor import derivation
from processor.attributes import Attribute, AttributeCache, Resource, ResourceCache, scalar_of, values_of
from processor.path_templates import PathTemplates
from processor.projection import load_projection
from processor.seen_spans import EXCLUDED, SKIPPED, SeenSpans
from telemetry import KeptSpan, PermanentError, SeriesKey, ServiceInstance, SpanKind
from telemetry.conventions import HTTP_TARGET_OLD, HTTP_URL_OLD, URL_PATH

_Combination = tuple[Resource | Attribute | int | str, ...]

_PATH_KEYS: Final = (URL_PATH, HTTP_TARGET_OLD, HTTP_URL_OLD)
_NOT_FOUND: Final = 404


@dataclass(frozen=True, slots=True)
class SpanColumns:
    """The spans of one batch that RED figures are derived from, a row each.

    `series[series_index[i]]` is the series of row i; the list only ever grows, and columns of one decoder usually
    share it. Times are whole nanoseconds, `end_ns` since 1970. `item_count` counts all spans of the batch. Without
    a row are `skipped_count` of them (no series is kept of such), `excluded_count` (left out by a rule),
    `invalid_count` (impossible times) and `late_count` (ended too long ago). `clamped_count` rows have a duration of
    zero since they start after their end.
    """

    series: Sequence[SeriesKey]
    series_index: NDArray[np.int64]
    end_ns: NDArray[np.int64]
    duration_ns: NDArray[np.int64]
    is_error: NDArray[np.bool_]
    item_count: int
    skipped_count: int
    excluded_count: int
    invalid_count: int
    late_count: int
    clamped_count: int = 0
    instances: frozenset[ServiceInstance] = frozenset()
    """Those that the spans came from, as far as they are named."""
    kept: Sequence[KeptSpan] = ()
    """Records of some of them, for traces."""

    @property
    def stored_count(self) -> int:
        """How many spans are done with once the batch is committed: with a row, or rightly without one."""
        return self.item_count - self.invalid_count - self.late_count


class SpanDecoder:
    """Decodes batches, remembering what repeats from span to span and from batch to batch. For one thread at a time.

    Everything remembered is bounded: at most `attribute_limit` attributes, `resource_limit` resources, and
    `combination_limit` combinations of the two (exceeded at most by those that one batch brings).
    """

    def __init__(
        self,
        *,
        text_limit_chars: int,
        attribute_limit: int,
        resource_limit: int,
        combination_limit: int,
        paths: PathTemplates,
        is_excluded: Callable[[SeriesKey], bool],
        keep: Callable[[SeenSpans], Sequence[KeptSpan]],
    ) -> None:
        projection = load_projection()
        self._parse_request = projection.request.FromString
        self._parse_key_value = projection.key_value.FromString
        self._text_limit_chars = text_limit_chars
        self._attributes = {
            kind: AttributeCache(keys, self._parse_key_value, attribute_limit)
            for kind, keys in derivation.KEYS_OF.items()
        }
        self._attribute_of = {number: self._attributes[kind].__getitem__ for number, kind in derivation.KIND_OF.items()}
        self._resources = ResourceCache(
            derivation.RESOURCE_KEYS, projection.resource.FromString, resource_limit, text_limit_chars
        )
        self._combination_limit = combination_limit
        self._paths = paths
        self._is_excluded = is_excluded
        self._keep = keep
        self._forget_combinations()

    def decode(self, body: bytes, *, latest_end_ns: int, earliest_end_ns: int = 0) -> SpanColumns:
        """Return the columns of an `ExportTraceServiceRequest`.

        Spans that end after `latest_end_ns` (Unix time), or start or end before 2000, are counted invalid, others that
        end before `earliest_end_ns` late; neither have a row. Raises `PermanentError` if the body is not a readable
        request; what is not read (events, links, attributes of no interest) is not checked.
        """
        if len(self._outcomes) > self._combination_limit:
            self._forget_combinations()
        try:
            return self._decode(self._parse_request(body), earliest_end_ns, latest_end_ns)
        except DecodeError as error:
            raise PermanentError(f"the body is not an OTLP ExportTraceServiceRequest in protobuf: {error}") from error

    def _decode(self, request: Any, earliest_end_ns: int, latest_end_ns: int) -> SpanColumns:
        item_count = 0
        instances: set[ServiceInstance] = set()
        outcomes: list[int] = []
        starts_ns: list[int] = []
        ends_ns: list[int] = []
        # Everything the inner loop touches is a local name: it runs for each span of each service watched.
        add_outcome, add_start, add_end = outcomes.append, starts_ns.append, ends_ns.append
        trace_ids: list[bytes] = []
        add_trace_id = trace_ids.append
        scopes: list[tuple[int, Sequence[Any], Resource]] = []
        known_outcome, derive, attribute_of = self._outcomes.get, self._derive, self._attribute_of.get
        for resource_spans in request.resource_spans:
            resource = self._resources[b"".join(resource_spans.resource)]
            if resource.instance is not None:
                instances.add(resource.instance)
            for scope_spans in resource_spans.scope_spans:
                spans = scope_spans.spans
                item_count += len(spans)
                scopes.append((len(outcomes), spans, resource))
                for span in spans:
                    kind = span.kind
                    meaning_of = attribute_of(kind)
                    if meaning_of is None:
                        continue
                    attributes = filter(None, map(meaning_of, span.attributes))
                    combination = (resource, kind, span.status.code, *attributes)
                    outcome = known_outcome(combination)
                    add_outcome(derive(span, *combination) if outcome is None else outcome)
                    add_start(span.start_time_unix_nano)
                    add_end(span.end_time_unix_nano)
                    add_trace_id(span.trace_id)
        seen = self._seen(scopes, trace_ids, outcomes, starts_ns, ends_ns, earliest_end_ns, latest_end_ns)
        return _columns_of(seen, item_count, frozenset(instances), self._keep(seen))

    def _seen(
        self,
        scopes: Sequence[tuple[int, Sequence[Any], Resource]],
        trace_ids: Sequence[bytes],
        outcomes: list[int],
        starts_ns: list[int],
        ends_ns: list[int],
        earliest_end_ns: int,
        latest_end_ns: int,
    ) -> SeenSpans:
        # OTLP's times are unsigned 64-bit; only what lies between 2000 and `latest_end_ns` is sure to fit a signed one.
        start_ns, end_ns = np.array(starts_ns, dtype=np.uint64), np.array(ends_ns, dtype=np.uint64)
        is_possible = (np.minimum(start_ns, end_ns) >= derivation.EARLIEST_UNIX_NANO) & (end_ns <= latest_end_ns)
        return SeenSpans(
            scopes,
            self._attribute_of.keys(),
            trace_ids,
            self._series,
            np.array(outcomes, dtype=np.int64),
            start_ns,
            end_ns,
            is_possible,
            is_possible & (end_ns >= np.uint64(max(earliest_end_ns, 0))),
        )

    def _derive(self, span: Any, resource: Resource, kind: int, status_code: int, *attributes: Attribute) -> int:
        """Return twice the series index, plus one for an error: both in one number keep the inner loop short.

        What depends on more of the span than its combination (the path, the name) is remembered under both.
        """
        combination: _Combination = (resource, kind, status_code, *attributes)
        values = values_of(attributes)
        series = derivation.series_of(derivation.KIND_OF[kind], resource.attributes, values, self._text_limit_chars)
        if series is None:
            self._outcomes[combination] = SKIPPED
            return SKIPPED
        detail = self._detail_of(span, series, values)
        key = combination if detail is None else (detail, *combination)
        known = self._outcomes.get(key)
        if known is not None:
            return known
        if detail is not None:
            field = "http_route" if series.span_kind == SpanKind.SERVER else "operation"
            series = series._replace(**{field: detail})
        is_error = derivation.is_error(derivation.KIND_OF[kind], status_code, values)
        outcome = self._outcomes[key] = self._outcome_of(series, is_error)
        return outcome

    def _detail_of(self, span: Any, series: SeriesKey, values: derivation.Attributes) -> str | None:
        """Return what the series takes from the path or the name of the span, `None` if it takes nothing from them."""
        if series.span_kind == SpanKind.INTERNAL and not series.operation:
            return derivation.text_of(span.name.decode(errors="replace"), self._text_limit_chars)
        is_http_server = series.span_kind == SpanKind.SERVER and series.http_method
        if not is_http_server or series.http_route or series.operation:
            return None
        if derivation.http_status_code_of(values) == _NOT_FOUND:
            return None
        path = self._path_of(span.attributes)
        return self._paths.template_of(series.service_name, path) if path else ""

    def _path_of(self, raw_attributes: Iterable[bytes]) -> str:
        found = {}
        for raw in raw_attributes:
            pair = self._parse_key_value(raw)
            value = scalar_of(pair.value)
            if value is not None:  # an empty value is no attribute, here as elsewhere
                found[pair.key.decode(errors="replace")] = value
        return next((str(value) for key in _PATH_KEYS if (value := found.get(key))), "")

    def _outcome_of(self, series: SeriesKey, is_error: bool) -> int:
        if self._is_excluded(series):
            return EXCLUDED
        index = self._series_indexes.setdefault(series, len(self._series))
        if index == len(self._series):
            self._series.append(series)
        return 2 * index + is_error

    def _forget_combinations(self) -> None:
        # A new list, not a cleared one: columns decoded before still point into the old.
        self._series: list[SeriesKey] = []
        self._series_indexes: dict[SeriesKey, int] = {}
        self._outcomes: dict[_Combination, int] = {}


def _columns_of(
    seen: SeenSpans, item_count: int, instances: frozenset[ServiceInstance], kept: Sequence[KeptSpan]
) -> SpanColumns:
    outcome, start_ns, end_ns = seen.outcome, seen.start_ns, seen.end_ns
    has_series = outcome >= 0
    is_kept = has_series & seen.is_timely
    invalid_count = int(np.count_nonzero(has_series & ~seen.is_possible))
    late_count = int(np.count_nonzero(has_series & seen.is_possible & ~seen.is_timely))
    excluded_count = int(np.count_nonzero(outcome == EXCLUDED))
    if np.count_nonzero(is_kept) < len(is_kept):
        outcome, start_ns, end_ns = outcome[is_kept], start_ns[is_kept], end_ns[is_kept]
    is_clamped = start_ns > end_ns
    return SpanColumns(
        series=seen.series,
        series_index=outcome >> 1,
        end_ns=end_ns.astype(np.int64),
        duration_ns=np.where(is_clamped, 0, end_ns - start_ns).astype(np.int64),
        is_error=(outcome & 1).astype(np.bool_),
        item_count=item_count,
        skipped_count=item_count - len(outcome) - excluded_count - invalid_count - late_count,
        excluded_count=excluded_count,
        invalid_count=invalid_count,
        late_count=late_count,
        clamped_count=int(np.count_nonzero(is_clamped)),
        instances=instances,
        kept=kept,
    )
