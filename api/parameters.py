"""How people write times, windows and groupings in a URL, and what they become.

Query parameters of `api/routes.py`; every field's description and examples end up in the OpenAPI document.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema

from api.paging import PageParameters
from query import GroupBy, SeriesFilter

_UNIT_S: Final = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_DURATION: Final = re.compile(r"(\d{1,9})([smhdw]?)")
_UNIX_S: Final = re.compile(r"\d{1,12}(\.\d{1,9})?")
_RFC_3339: Final = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})")
_LATEST_S: Final = 253_402_300_799
_LABEL: Final = 1_024


def duration_s(text: Any) -> int:
    """Read `30s`, `5m`, `24h`, `7d`, `2w` or plain seconds. Raises `ValueError` for anything else."""
    match = _DURATION.fullmatch(str(text).strip())
    if not match:
        raise ValueError("write a duration such as 30s, 5m, 24h or 7d, or whole seconds")
    return int(match[1]) * _UNIT_S[match[2]]


def unix_s(text: Any) -> int:
    """Read an RFC 3339 time or Unix seconds, fractions dropped. Raises `ValueError` for anything else."""
    text = str(text).strip()
    if _UNIX_S.fullmatch(text):
        second = int(float(text))
    else:
        # In a query string an unescaped plus sign, as in "+01:00", arrives as a space.
        text = re.sub(r" (\d{2}:\d{2})$", r"+\1", text)
        if not _RFC_3339.fullmatch(text):
            raise ValueError("write a time such as 2026-11-22T10:00:00Z, with its zone, or Unix seconds")
        try:
            second = int(datetime.fromisoformat(text.upper()).timestamp())
        except (ValueError, OverflowError):
            raise ValueError("there is no such time") from None
    if not 0 <= second <= _LATEST_S:
        raise ValueError("the time must lie between 1970 and 9999")
    return second


def rfc_3339(second: int) -> str:
    """Write a Unix second as an RFC 3339 time in UTC."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def comma_separated(value: Any) -> Any:
    """Accept `group_by=a,b` as well as `group_by=a&group_by=b`; the same for every list."""
    parts = [value] if isinstance(value, str) else value
    return [name.strip() for part in parts for name in str(part).split(",") if name.strip()]


KindName = Literal["SERVER", "CONSUMER", "CLIENT", "PRODUCER", "INTERNAL"]

# Examples stand here, because a schema given as a whole hides those of a field that is not optional.
_DURATION_SCHEMA: Final = {"type": "string", "pattern": r"^\d{1,9}[smhdw]?$", "examples": ["5m", "1h", "120"]}
_TIME_SCHEMA: Final = {"type": "string", "title": "RFC 3339 time or Unix seconds"}
_GROUP_BY_SCHEMA: Final = {
    "type": "array",
    "items": {"type": "string", "enum": list(get_args(GroupBy))},
    "uniqueItems": True,
    "examples": [["service"], ["service", "route"]],
}

Duration = Annotated[int, BeforeValidator(duration_s), WithJsonSchema(_DURATION_SCHEMA)]
Time = Annotated[int, BeforeValidator(unix_s), WithJsonSchema(_TIME_SCHEMA)]
End = Annotated[
    Time | None,
    Field(
        description="End of the range, exclusive. Without it, the second that is running is the last one included.",
        examples=["2026-11-22T10:00:00Z", "1795341600"],
    ),
]
"""The end of what is asked about, on every route that asks about a time."""
Service = Annotated[
    str | None,
    Field(max_length=_LABEL, description="Only this service (`service.name`).", examples=["churn-classifier"]),
]
_SPAN_KIND_SCHEMA: Final = {
    "type": "array",
    "items": {"type": "string", "enum": list(get_args(KindName))},
    "uniqueItems": True,
    "examples": [["CLIENT"], ["CLIENT", "PRODUCER"]],
}
Kinds = Annotated[list[KindName], BeforeValidator(comma_separated), WithJsonSchema(_SPAN_KIND_SCHEMA)]
Grouping = Annotated[list[GroupBy], BeforeValidator(comma_separated), WithJsonSchema(_GROUP_BY_SCHEMA)]


class FilterParameters(BaseModel, extra="forbid"):
    """Which series a question is about; what is left out lets everything through."""

    service: Service = None
    environment: str | None = Field(
        None,
        max_length=_LABEL,
        description="Only this environment (`deployment.environment.name`).",
        examples=["production"],
    )
    model: str | None = Field(
        None, max_length=_LABEL, description="Only this model (`ml.model.name`).", examples=["churn"]
    )
    version: str | None = Field(
        None, max_length=_LABEL, description="Only this version (`service.version`).", examples=["1.4.0"]
    )
    route: str | None = Field(
        None, max_length=_LABEL, description="Only this route template (`http.route`).", examples=["/predict"]
    )

    def series_filter(self) -> SeriesFilter:
        """Return the filter that these parameters describe."""
        return SeriesFilter(
            service_name=self.service,
            deployment_environment=self.environment,
            model_name=self.model,
            service_version=self.version,
            http_route=self.route,
        )


class PipelineParameters(BaseModel, extra="forbid"):
    """The time that the flows are counted over, up to now."""

    window: Duration = Field(300, description="How far back to count; 10 seconds to 731 days, of which 31 are kept.")


class NoParameters(BaseModel, extra="forbid"):
    """The parameters of a route that has none, so that a mistaken one is not passed over."""


class ServicesParameters(FilterParameters, PageParameters, extra="forbid"):
    """The parameters of `/api/v1/services`."""

    window: Duration = Field(
        "5m",
        validate_default=True,
        description="How far back from `end` to look: `30s`, `5m`, `24h`, `7d` or seconds.",
    )
    end: End = None


class RedParameters(FilterParameters, PageParameters, extra="forbid"):
    """The parameters of `/api/v1/red`."""

    start: Time | None = Field(
        None,
        description="Start of the range, moved down to a multiple of the step. Without it, five minutes before `end`.",
        examples=["2026-11-22T09:00:00Z", "1795338000"],
    )
    end: End = None
    step: Duration | None = Field(
        None,
        description="Width of a step: `1s`, `1m`, `1h` or seconds. Without it, the range is cut into at most 300 "
        "round steps. Where the history answers, the step is widened to a multiple of its buckets.",
        examples=["1m"],
    )
    span_kind: Kinds = Field(
        ["SERVER", "CONSUMER"],
        min_length=1,
        description="What is counted: the requests that services answer (the default), what they ask of others "
        "(`CLIENT`, `PRODUCER`; group these by `peer` and `operation`), or the steps of their models (`INTERNAL`).",
    )
    group_by: Grouping = Field(
        ["service"],
        description="One item per combination of these; repeat the parameter or separate with commas.",
    )

    def series_filter(self) -> SeriesFilter:
        """Return the filter that these parameters describe."""
        return replace(super().series_filter(), span_kinds=frozenset(self.span_kind))
