"""The query parameters of `/api/v1/traces`; their descriptions and examples end up in the OpenAPI document.

Read by `api/trace_routes.py`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from api.parameters import FilterParameters, Kinds, Time
from query import TraceFilter

_LABEL = 1_024


class TracesParameters(FilterParameters, extra="forbid"):
    """The parameters of `/api/v1/traces`."""

    start: Time | None = Field(
        None, description="Start of the range. Without it, an hour before `end`.", examples=["2026-11-22T09:00:00Z"]
    )
    end: Time | None = Field(
        None,
        description="End of the range, exclusive: requests count when they end. Without it, now.",
        examples=["2026-11-22T10:00:00Z"],
    )
    instance: str | None = Field(None, max_length=_LABEL, description="Only this instance (`service.instance.id`).")
    operation: str | None = Field(
        None, max_length=_LABEL, description="Only this operation, such as a step of a model or a method of an RPC."
    )
    span_kind: Kinds = Field(
        ["SERVER", "CONSUMER"],
        min_length=1,
        description="What is listed: requests (the default), what services ask of others, or other steps.",
    )
    status_class: Literal["1xx", "2xx", "3xx", "4xx", "5xx"] | None = Field(
        None, description="Only HTTP statuses of this class."
    )
    error: bool | None = Field(None, description="Only what failed (`true`), or only what did not (`false`).")
    min_duration_s: float | None = Field(
        None, ge=0, le=1e9, description="Only what took at least so many seconds.", examples=[0.5]
    )
    max_duration_s: float | None = Field(
        None, ge=0, le=1e9, description="Only what took less than so many seconds.", examples=[30]
    )
    order: Literal["time", "duration"] = Field("time", description="The latest first, or the longest first.")
    limit: int = Field(50, ge=1, le=5_000, description="Most items of one page.", examples=[20])
    cursor: str | None = Field(
        None, description="`next_cursor` of the page before, with the other parameters as they were."
    )

    def trace_filter(self) -> TraceFilter:
        """Return the filter that these parameters describe."""
        return TraceFilter(
            service=self.service,
            environment=self.environment,
            version=self.version,
            instance=self.instance,
            model=self.model,
            route=self.route,
            operation=self.operation,
            status_class=self.status_class,
            is_error=self.error,
            min_duration_s=self.min_duration_s,
            max_duration_s=self.max_duration_s,
            span_kinds=frozenset(self.span_kind),
        )
