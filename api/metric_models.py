"""The shapes of the answers about metrics, as OpenAPI shows them.

`api/metric_documents.py` fills them; values are in the metric's own unit, times are RFC 3339 in UTC.
"""

from __future__ import annotations

from pydantic import Field

from api.models import Count, Document, NextCursor, Time
from query import Aggregation
from telemetry.metric_series import MetricType


class MetricKnown(Document):
    """A metric: name, unit and type together."""

    name: str = Field(examples=["container.memory.usage"])
    unit: str = Field(description="As OpenTelemetry writes units (UCUM), such as `By`, `s` or `{request}`.")
    type: MetricType
    series_count: Count
    services: list[str] = Field(description="The services that sent it; `unknown_service` where none was named.")
    attribute_keys: list[str] = Field(description="The attributes of its points: what to group by.")
    resource_keys: list[str] = Field(description="The attributes of its resources that are kept as labels.")
    aggregations: list[Aggregation] = Field(description="What can be asked for; the first is the default.")


class Metrics(Document):
    """The metrics that were sent between `start` and `end`, give or take ten minutes, by name."""

    start: Time
    end: Time
    is_complete: bool = Field(description="Whether all are listed; there is a limit.")
    items: list[MetricKnown]
    next_cursor: NextCursor


class MetricPoint(Document):
    """The step that begins at `time`."""

    time: Time
    value: float | None = Field(description="`null` where nothing is known.")


class MetricValues(Document):
    """One group over time, with a point for every step."""

    labels: dict[str, str] = Field(
        description="The `group_by` labels and their values, empty where a series has no such label; all "
        "`otel.metric.overflow` for the smallest groups together, beyond the most that an answer holds."
    )
    points: list[MetricPoint]


class Metric(Document):
    """One metric from `start` to before `end` in steps of `step_s` seconds."""

    start: Time
    end: Time
    step_s: int = Field(ge=1)
    name: str
    unit: str | None = Field(description="`null`, as the type, where nothing is known of such a metric.")
    type: MetricType | None
    aggregation: Aggregation
    items: list[MetricValues]
    next_cursor: NextCursor
