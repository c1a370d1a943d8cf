"""The shapes of the answers about traces, as OpenAPI shows them; `api/trace_documents.py` fills them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from api.models import Count, Document, NextCursor, Seconds, Time

Ids = str


class KeptRequest(Document):
    """One span that was kept. Texts that it lacks are empty."""

    trace_id: Ids = Field(description="32 hexadecimal digits.")
    span_id: Ids = Field(description="16 hexadecimal digits.")
    start: Time = Field(description="When it began, to the nanosecond.")
    duration_s: Seconds = Field(description="How long it took.")
    service: str
    version: str
    instance: str
    environment: str
    model: str
    model_version: str
    span_kind: str
    name: str
    method: str
    route: str
    peer: str
    operation: str
    status_code: int | None = Field(description="HTTP status, `null` if it had none.")
    error: bool = Field(description="Whether it counts as an error.")
    kept_as: Literal["error", "slow", "beside", "sample"] = Field(
        description="Why it was kept: it failed, it was the slowest of its route for a while, it belongs to the trace "
        "of one of these, or its trace is one of the sample (of all, while there are few)."
    )


class KeptCount(Document):
    """How many were kept of how many, in a time that may begin and end a step beside the range."""

    start: Time
    end: Time
    kept: Count = Field(description="Kept and matching.")
    is_more: bool = Field(description="Whether there are more than were counted.")
    calls: Count | None = Field(
        description="All that matched, kept or not. `null` where figures do not tell them apart as the question does."
    )


class Traces(Document):
    """A page of requests that were kept."""

    start: Time
    end: Time
    items: list[KeptRequest]
    next_cursor: NextCursor
    is_cut_short: bool = Field(
        description="Whether the search looked at as many spans as it may before the page was full; `next_cursor` goes "
        "on."
    )
    count: KeptCount | None = Field(description="On the first page only.")
    kept_since: Time | None = Field(description="When the oldest span that is kept ended.")


class SpanEvent(Document):
    """Something that happened within a span, such as an exception."""

    name: str
    time: Time
    attributes: dict[str, Any]


class SpanLink(Document):
    """Another span that a span names."""

    trace_id: Ids
    span_id: Ids
    attributes: dict[str, Any]


class TraceSpan(KeptRequest):
    """A span of a trace, with what is kept of its attributes."""

    parent_span_id: str = Field(description="Empty for the root.")
    depth: Count = Field(description="How deep it stands below a span without a parent that is kept.")
    is_parent_missing: bool
    status_message: str
    attributes: dict[str, Any]
    events: list[SpanEvent]
    links: list[SpanLink]
    dropped: Count = Field(description="Attributes, events and links that are not kept, as too many or too large.")


class Trace(Document):
    """All that is kept of one trace, spans below their parents."""

    trace_id: Ids
    start: Time
    duration_s: Seconds
    kept: Count = Field(description="Spans that are kept; here are the earliest of them if they are too many.")
    has_gaps: bool = Field(description="Whether spans are known to be missing.")
    missing_parents: list[str] = Field(description="Spans that others name as their parent and that are not kept.")
    spans: list[TraceSpan]
