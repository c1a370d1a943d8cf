"""The shapes of the API's answers, as OpenAPI shows them.

`api/documents.py` fills them; durations end in `_s` and are seconds, ratios are 0 to 1, times are RFC 3339 in UTC.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field, WithJsonSchema

from query import ProblemKind, Status

Time = Annotated[datetime, WithJsonSchema({"type": "string", "format": "date-time"})]
Count = Annotated[int, Field(ge=0)]
Ratio = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0)]


NextCursor = Annotated[
    str | None, Field(description="Ask with it as `cursor` for the page that follows; `null` at the end.")
]


class Document(BaseModel, extra="forbid"):
    """Base of all answers: exactly the fields described."""


class Percentiles(Document):
    """`null` where there were no calls. Relative error at most 1 %."""

    p50_s: Seconds | None = Field(description="Median duration in seconds.")
    p95_s: Seconds | None = Field(description="95th percentile of durations in seconds.")
    p99_s: Seconds | None = Field(description="99th percentile of durations in seconds.")


class Counts(Percentiles):
    calls: Count = Field(description="Requests that ended in this time.")
    errors: Count = Field(description="Requests that failed: status 5xx, or an exception.")
    client_errors: Count = Field(description="Requests that were answered with 4xx; no errors of the service.")


class Total(Counts):
    """RED over the whole time of the answer."""

    error_rate: Ratio = Field(description="errors / calls; 0 without calls.")
    rate_per_s: Seconds = Field(description="Calls divided by the seconds from `start` to `end`.")


class ServiceTotal(Total):
    """RED and Apdex over the whole time of the answer."""

    apdex: Ratio | None = Field(
        description="(satisfied + tolerating / 2) / calls: those that succeeded within the target in full, within "
        "four times that by half. The target is 0.5 s, or as set for the service; `null` without calls."
    )


class ProblemFound(Document):
    """A recognised kind of trouble with its evidence."""

    kind: ProblemKind
    status: Status
    value: float = Field(
        description="What was measured: seconds for latency, a ratio for errors; bottlenecks: `docs/bottlenecks.md`."
    )
    threshold: float = Field(description="What it was measured against.")
    evidence: str = Field(examples=["P95 1.92 s over the last minute, above 1 s"])


class Service(ServiceTotal):
    """One service over the window."""

    service: str = Field(
        description="The name; `otel.metric.overflow` is the sum of the smallest services, beyond the most that an "
        "answer holds."
    )
    versions: list[str]
    environments: list[str]
    instance_count: Count
    last_seen: Time = Field(description="Start of the latest bucket with a call.")
    status: Status = Field(description="Judged by the last minute of the window.")
    problems: list[ProblemFound]


class Services(Document):
    """All services seen from `start` to before `end`, worst status first, then by name."""

    start: Time
    end: Time
    items: list[Service]
    next_cursor: NextCursor
    total: ServiceTotal = Field(description="All services together, percentiles from the merged histograms.")


class Point(Counts):
    """RED of the step that begins at `time`."""

    time: Time


class Series(Document):
    """One group over time, with a point for every step, also where there were no calls."""

    labels: dict[str, str] = Field(
        description="The `group_by` fields and their values; all `otel.metric.overflow` for the sum of the smallest "
        "groups, beyond the most that an answer holds."
    )
    points: list[Point]
    total: Total


class Red(Document):
    """RED from `start` to before `end` in steps of `step_s` seconds."""

    start: Time
    end: Time
    step_s: int = Field(ge=1)
    source: Literal["live", "history"] = Field(
        description="Which answered: the live window, to the second, or the history."
    )
    items: list[Series]
    next_cursor: NextCursor


class Figure(Document):
    """What one component counted since its process started, or holds now."""

    kind: Literal["counter", "gauge"] = Field(description="A `counter` only grows; a `gauge` is what is true now.")
    name: str = Field(examples=["receiver_accepted_items"])
    labels: dict[str, str]
    value: float = Field(ge=0, description="Counters are whole numbers.")


class SeriesOverflow(Document):
    """A service that sends more series than are kept apart; the rest of its calls are one series."""

    service: str
    kept: int = Field(description="Series of the service that are kept apart now.")
    estimate: int = Field(description="How many series it would have without the limit, to a few percent.")
    distinct: dict[str, int] = Field(description="How many different values each field of its series has, estimated.")
    cause: str = Field(description="The field with the most values: what to mend.", examples=["service_instance_id"])


class SignalFlow(Document):
    """The items received are all the others together, but for those refused."""

    signal: str
    received: int
    stored: int
    duplicate: int
    late: int
    invalid: int
    discarded: int
    rejected: int
    dead_lettered: int
    refused: int = Field(description="Given back to their senders for now; not among those received.")
    in_flight: int
    unexplained: int
    tolerance: int = Field(description="By how many items reports may differ, as they are not of one moment.")
    balance: Literal["balanced", "in_flight", "surplus", "uncertain", "missing"]


class Process(Document):
    process_id: str
    role: str
    version: str
    host: str
    pid: int
    started: str
    address: str
    state: Literal["well", "failing", "silent", "ended"]
    age_s: float = Field(description="Seconds since its last report.")
    failures: dict[str, str] = Field(description="What is wrong, by the name of the check; only what is.")


class Tier(Document):
    name: Literal["finest", "medium", "coarse", "traces"] = Field(description="Of the history; `traces`: kept spans.")
    retention_s: Count = Field(description="Seconds for which it is kept.")
    size_bytes: Count | None = Field(description="What it takes up; `null` where that is not known.")


class PipelineSystem(Document):
    start: str
    end: str
    since: str = Field(description="From when on the flows are counted.")
    flows: list[SignalFlow]
    gauges: dict[str, float] = Field(description="What is held now, by names as in `items`: added up, or the worst.")
    tiers: list[Tier] = Field(description="What each tier of the history takes up; empty while no processor runs.")
    canary_lost: int
    processes: list[Process]


class Pipeline(Document):
    """The figures of the process that answers; other processes serve their own, on their health ports."""

    scope: Literal["process", "workers"] = Field(
        description="`process`: of the process that answers. `workers`: the sum over its workers."
    )
    items: list[Figure] = Field(description="Counters, then gauges, each by name and labels.")
    overflows: list[SeriesOverflow] = Field(description="Services over the limit of series, the worst first.")
    system: PipelineSystem | None = Field(None, description="All processes together; only where the API is served.")


class Check(Document):
    is_ok: bool
    message: str = Field(description="What is wrong, empty when nothing is.")


class Readiness(Document):
    """Ready when every check is."""

    status: Literal["ready", "not_ready"]
    checks: dict[str, Check]


class Liveness(Document):
    """The process answers."""

    status: Literal["alive"]


class ParameterError(Document):
    parameter: str
    message: str


class ProblemDetails(Document):
    """What went wrong (RFC 9457), as `application/problem+json`."""

    type: Literal["about:blank"] = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[ParameterError] = Field(default=[], description="The parameters at fault, if any.")
