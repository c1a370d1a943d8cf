"""An OTLP trace request as columns of numbers: for each span that counts its series, end, duration and outcome.

Stands between the bytes of a batch and `aggregation`; this loop over spans is what the processor spends its time on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from processor import derivation
from processor.attributes import Attribute, AttributeCache, Resource, ResourceCache, values_of
from processor.projection import load_projection
from telemetry import PermanentError, SeriesKey


@dataclass(frozen=True, slots=True)
class SpanColumns:
    """The spans of one batch that RED figures are derived from, a row each.

    `series[series_index[i]]` is the series of row i; the list only ever grows, and columns of one decoder usually
    share it. Times are whole nanoseconds, `end_ns` since 1970. `item_count` counts all spans of the batch, of which
    `skipped_count` are of another kind and `invalid_count` have impossible times; neither have a row.
    """

    series: Sequence[SeriesKey]
    series_index: NDArray[np.int64]
    end_ns: NDArray[np.int64]
    duration_ns: NDArray[np.int64]
    is_error: NDArray[np.bool_]
    item_count: int
    skipped_count: int
    invalid_count: int


class SpanDecoder:
    """Decodes batches, remembering what repeats from span to span and from batch to batch. For one thread at a time.

    Everything remembered is bounded: at most `attribute_limit` attributes, `resource_limit` resources, and
    `combination_limit` combinations of the two (exceeded at most by those that one batch brings).
    """

    def __init__(
        self, *, text_limit_chars: int, attribute_limit: int, resource_limit: int, combination_limit: int
    ) -> None:
        projection = load_projection()
        self._parse_request = projection.request.FromString
        self._text_limit_chars = text_limit_chars
        self._attributes = AttributeCache(derivation.SPAN_KEYS, projection.key_value.FromString, attribute_limit)
        self._resources = ResourceCache(derivation.RESOURCE_KEYS, projection.resource.FromString, resource_limit)
        self._combination_limit = combination_limit
        self._forget_combinations()

    def decode(self, body: bytes, *, latest_end_ns: int) -> SpanColumns:
        """Return the columns of an `ExportTraceServiceRequest`.

        Spans that end after `latest_end_ns` (Unix time), or start or end before 2000, are counted invalid and set
        aside. Raises `PermanentError` if the body is not a readable request; what is not read (names, events, links,
        attributes of no interest) is not checked.
        """
        if len(self._outcomes) > self._combination_limit:
            self._forget_combinations()
        try:
            return self._decode(self._parse_request(body), latest_end_ns)
        except DecodeError as error:
            raise PermanentError(f"the body is not an OTLP ExportTraceServiceRequest in protobuf: {error}") from error

    def _decode(self, request: object, latest_end_ns: int) -> SpanColumns:
        item_count = 0
        outcomes: list[int] = []
        starts_ns: list[int] = []
        ends_ns: list[int] = []
        # Everything the inner loop touches is a local name: it runs for each span of each service watched.
        add_outcome, add_start, add_end = outcomes.append, starts_ns.append, ends_ns.append
        attribute_of, known_outcome, derive = self._attributes.__getitem__, self._outcomes.get, self._derive
        kinds = derivation.RED_SPAN_KINDS
        for resource_spans in request.resource_spans:  # type: ignore[attr-defined]  # made at runtime
            resource = self._resources[b"".join(resource_spans.resource)]
            for scope_spans in resource_spans.scope_spans:
                spans = scope_spans.spans
                item_count += len(spans)
                for span in spans:
                    kind = span.kind
                    if kind not in kinds:
                        continue
                    attributes = filter(None, map(attribute_of, span.attributes))
                    combination = (resource, kind, span.status.code, *attributes)
                    outcome = known_outcome(combination)
                    add_outcome(derive(*combination) if outcome is None else outcome)
                    add_start(span.start_time_unix_nano)
                    add_end(span.end_time_unix_nano)
        return _columns_of(self._series, outcomes, starts_ns, ends_ns, item_count, latest_end_ns)

    def _derive(self, resource: Resource, kind: int, status_code: int, *attributes: Attribute) -> int:
        """Return twice the series index, plus one for an error: both in one number keep the inner loop short."""
        values = values_of(attributes)
        series = derivation.series_of(
            derivation.RED_SPAN_KINDS[kind], resource.attributes, values, self._text_limit_chars
        )
        index = self._series_indexes.setdefault(series, len(self._series))
        if index == len(self._series):
            self._series.append(series)
        outcome = 2 * index + derivation.is_error(status_code, values)
        self._outcomes[resource, kind, status_code, *attributes] = outcome
        return outcome

    def _forget_combinations(self) -> None:
        # A new list, not a cleared one: columns decoded before still point into the old.
        self._series: list[SeriesKey] = []
        self._series_indexes: dict[SeriesKey, int] = {}
        self._outcomes: dict[tuple[Resource | Attribute | int, ...], int] = {}


def _columns_of(
    series: Sequence[SeriesKey],
    outcomes: list[int],
    starts_ns: list[int],
    ends_ns: list[int],
    item_count: int,
    latest_end_ns: int,
) -> SpanColumns:
    outcome = np.array(outcomes, dtype=np.int64)
    # OTLP's times are unsigned 64-bit; only what lies between 2000 and `latest_end_ns` is sure to fit a signed one.
    start_ns = np.array(starts_ns, dtype=np.uint64)
    end_ns = np.array(ends_ns, dtype=np.uint64)
    is_possible = (np.minimum(start_ns, end_ns) >= derivation.EARLIEST_UNIX_NANO) & (end_ns <= latest_end_ns)
    if not is_possible.all():
        outcome, start_ns, end_ns = outcome[is_possible], start_ns[is_possible], end_ns[is_possible]
    return SpanColumns(
        series=series,
        series_index=outcome >> 1,
        end_ns=end_ns.astype(np.int64),
        duration_ns=(end_ns - np.minimum(start_ns, end_ns)).astype(np.int64),
        is_error=(outcome & 1).astype(np.bool_),
        item_count=item_count,
        skipped_count=item_count - len(outcomes),
        invalid_count=len(outcomes) - len(outcome),
    )
