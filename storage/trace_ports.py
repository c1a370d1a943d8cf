"""The port through which traces are read: kept spans, found by what they are or by their trace.

Asked by `query/traces`; the history implements it on either database.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from telemetry import KeptSpan

Order = Literal["time", "duration"]
"""The latest first, or the longest first."""

Place = tuple[int, int, bytes, bytes]
"""Where a span stands: its key; in the order of durations, `duration_ns` stands in the place of `start_s`."""


@dataclass(frozen=True, slots=True)
class SpanFilter:
    """Which spans are wanted, of those that ended in [start_s, end_s). A field that is `None` lets all through."""

    start_s: int
    end_s: int
    service_name: str | None = None
    deployment_environment: str | None = None
    service_version: str | None = None
    service_instance_id: str | None = None
    model_name: str | None = None
    http_route: str | None = None
    operation: str | None = None
    span_kinds: frozenset[str] | None = None
    status_codes: tuple[int, int] | None = None
    """HTTP status codes, from the first to before the second."""
    is_error: bool | None = None
    min_duration_ns: int | None = None
    max_duration_ns: int | None = None


class FoundSpans(NamedTuple):
    """Spans in the order asked for, without `detail`, and from where to go on; `None` when there are no more.

    `searched` is how many spans were looked at. With fewer spans than asked for and a place to go on from, the search
    came to its bound.
    """

    spans: Sequence[KeptSpan]
    after: Place | None
    searched: int


class FoundTrace(NamedTuple):
    """The spans of a trace by when they began, at most so many, and how many are kept."""

    spans: Sequence[KeptSpan]
    kept: int


class TraceHistory(Protocol):
    """Kept spans. All questions raise `StorageUnavailableError`."""

    async def find_spans(self, where: SpanFilter, order: Order, limit: int, after: Place | None = None) -> FoundSpans:
        """Return up to `limit` spans after a place."""
        ...

    async def count_spans(self, where: SpanFilter, limit: int) -> int:
        """Return how many spans match, at most `limit`: of so many are told apart none."""
        ...

    async def trace(self, trace_id: bytes, limit: int) -> FoundTrace:
        """Return what is kept of a trace."""
        ...

    async def oldest_span_s(self) -> int | None:
        """Return the second in which the oldest kept span ended, `None` when there is none."""
        ...
