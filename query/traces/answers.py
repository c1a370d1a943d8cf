"""What is answered about traces: lists of requests that were kept, and all that is kept of one trace.

Plain values; `query/traces/component.py` makes them, pages and API show them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

AttributeValue = object
"""What JSON can say: text, number, truth, `None`, or lists and maps of these."""

NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class KeptRequest:
    """One span, without its attributes. Ids are hexadecimal; texts that it lacks are empty."""

    trace_id: str
    span_id: str
    service_name: str
    service_version: str
    service_instance_id: str
    deployment_environment: str
    model_name: str
    model_version: str
    span_kind: str
    name: str
    http_method: str
    http_route: str
    peer: str
    operation: str
    http_status_code: int | None
    is_error: bool
    start_ns: int
    duration_ns: int
    kept_as: str

    @property
    def end_ns(self) -> int:
        """When it ended, in Unix nanoseconds."""
        return self.start_ns + self.duration_ns

    @property
    def duration_s(self) -> float:
        """How long it took."""
        return self.duration_ns / NS_PER_S


@dataclass(frozen=True, slots=True)
class KeptCount:
    """How many of how many requests were kept that ended in [start_s, end_s).

    `kept` of them are known, `is_more` when there are more than were counted. `calls` are all that were counted,
    `None` where the figures do not tell them apart as the question does.
    """

    start_s: int
    end_s: int
    kept: int
    is_more: bool
    calls: int | None


@dataclass(frozen=True, slots=True)
class TracesAnswer:
    """Requests in the order asked for. With `next_cursor` there may be more.

    `is_cut_short` when the search came to its bound before it found as many as were asked for. `kept_since_s` is since
    when anything is kept.
    """

    start_s: int
    end_s: int
    items: Sequence[KeptRequest]
    next_cursor: str | None
    is_cut_short: bool
    count: KeptCount | None
    kept_since_s: int | None


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """Something that happened within a span, such as an exception."""

    name: str
    time_ns: int
    attributes: Mapping[str, AttributeValue]


@dataclass(frozen=True, slots=True)
class SpanLink:
    """Another span that a span names."""

    trace_id: str
    span_id: str
    attributes: Mapping[str, AttributeValue]


@dataclass(frozen=True, slots=True)
class TraceSpan:
    """A span of a trace in its place: `depth` below a span without a parent that is kept."""

    request: KeptRequest
    parent_span_id: str
    depth: int
    is_parent_missing: bool
    status_message: str
    attributes: Mapping[str, AttributeValue]
    events: Sequence[SpanEvent]
    links: Sequence[SpanLink]
    dropped_count: int
    """Attributes, events and links that are not kept, as too many or too large."""


@dataclass(frozen=True, slots=True)
class TraceAnswer:
    """What is kept of a trace: spans below their parents, those of one parent by when they began.

    `kept` may be more than there are here. `missing_parents` are spans that others name and that are not kept.
    """

    trace_id: str
    spans: Sequence[TraceSpan]
    kept: int
    missing_parents: Sequence[str]

    @property
    def start_ns(self) -> int:
        """When the earliest span began."""
        return min(span.request.start_ns for span in self.spans)

    @property
    def end_ns(self) -> int:
        """When the latest span ended."""
        return max(span.request.end_ns for span in self.spans)

    @property
    def has_gaps(self) -> bool:
        """Whether spans of it are known to be missing."""
        return bool(self.missing_parents) or self.kept > len(self.spans)
