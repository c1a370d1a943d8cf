"""The query parameters of `/api/v1/metrics`, and the filter that they describe."""

from __future__ import annotations

from typing import Annotated, Any, Final, Self

from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema, model_validator

from api.paging import PageParameters
from api.parameters import Duration, End, Service, Time, comma_separated
from query import Aggregation, MetricFilter
from telemetry.metric_series import MetricType

_LABEL: Final = 1_024

LabelName = Annotated[str, StringConstraints(min_length=1, max_length=_LABEL)]


def _pairs(value: Any) -> Any:
    parts = [value] if isinstance(value, str) else value
    pairs = []
    for part in parts:
        name, separator, wanted = str(part).partition("=")
        if not name or not separator:
            raise ValueError("write label=value, such as container.name=churn-classifier")
        pairs.append((name, wanted))
    return pairs


_GROUP_BY_SCHEMA: Final = {
    "type": "array",
    "items": {"type": "string"},
    "uniqueItems": True,
    "examples": [["service"], ["container.name", "instance"]],
}
_WHERE_SCHEMA: Final = {
    "type": "array",
    "items": {"type": "string", "pattern": "^[^=]+=.*$"},
    "examples": [["container.name=churn-classifier"]],
}


class MetricsParameters(PageParameters, extra="forbid"):
    """The parameters of `/api/v1/metrics`."""

    name: str | None = Field(
        None,
        min_length=1,
        max_length=_LABEL,
        description="The metric to answer with. Without it, the metrics that are known are listed.",
        examples=["container.memory.usage", "http.server.request.duration"],
    )
    service: Service = None
    start: Time | None = Field(
        None,
        description="Start of the range, moved down to a multiple of the step. Without it, an hour before `end`.",
        examples=["2026-11-22T09:00:00Z", "1795338000"],
    )
    end: End = None
    step: Duration | None = Field(
        None,
        description="Width of a step: `1m`, `1h` or seconds. Without it, the range is cut into at most 300 round "
        "steps. It is widened to a multiple of the buckets that the history has of that time.",
        examples=["1m"],
    )
    group_by: Annotated[list[LabelName], BeforeValidator(comma_separated), WithJsonSchema(_GROUP_BY_SCHEMA)] = Field(
        [],
        description="One item per combination of these labels: attributes of the points, labels of the resource, or "
        "`service`, `version`, `instance`, `environment`. Repeat the parameter or separate with commas. Without it, "
        "there is one item.",
    )
    where: Annotated[list[tuple[LabelName, str]], BeforeValidator(_pairs), WithJsonSchema(_WHERE_SCHEMA)] = Field(
        [], description="Only series with this value of a label: `label=value`. May be repeated; all must hold."
    )
    aggregation: Aggregation | None = Field(
        None,
        description="What is made of the points of a group in a step. Readings (gauges, sums that go both ways): "
        "`avg`, `min`, `max`, `sum`, `last`. Counters: `rate` per second, `increase`, `last`. Histograms: `p95`, "
        "`p50`, `p99`, `avg`, `rate`, `increase`, `sum`, `min`, `max`. Without it, the first that the type has.",
        examples=["avg", "p95"],
    )
    type: MetricType | None = Field(
        None,
        description="Only this type; needed when metrics of several types have the name.",
        examples=["gauge", "histogram"],
    )
    unit: str | None = Field(
        None,
        max_length=_LABEL,
        description="Only this unit; needed when metrics of several units have the name.",
        examples=["By", "s"],
    )

    @model_validator(mode="after")
    def _name_is_needed(self) -> Self:
        wanting = [name for name in ("step", "group_by", "aggregation") if getattr(self, name) not in (None, [])]
        if self.name is None and wanting:
            raise ValueError(f"{wanting[0]} needs the name of a metric")
        return self

    def metric_filter(self) -> MetricFilter:
        """Return the filter that these parameters describe."""
        return MetricFilter(self.name, self.service, self.type, self.unit, tuple(self.where))
