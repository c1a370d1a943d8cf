"""A rule: what is measured, of whom, from where on it is bad, and for how long before anybody is told.

A frozen value, checked when it is made; the API, the file and the page all make it here, so that all refuse the same
with the same words.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from alerting.patterns import matches, pattern_of
from query import Aggregation, GroupBy
from telemetry import REQUEST_KINDS, SpanKind

DAY_S: Final = 86_400
_LABEL_CHARS: Final = 256
_MAX_LABELS: Final = 8
_KNOWN_FOR_S: Final = 3_600
_LONGEST_WINDOW_S: Final = 31 * DAY_S


class Signal(StrEnum):
    """What can be watched."""

    LATENCY_P50 = "latency_p50"
    LATENCY_P95 = "latency_p95"
    LATENCY_P99 = "latency_p99"
    ERROR_RATE = "error_rate"
    CLIENT_ERROR_RATE = "client_error_rate"
    APDEX = "apdex"
    REQUEST_RATE = "request_rate"
    ABSENCE = "absence"
    CPU = "cpu"
    MEMORY = "memory"
    THROTTLING = "throttling"
    RESTARTS = "restarts"
    PIPELINE_LAG = "pipeline_lag"
    METRIC = "metric"


LATENCIES: Final = frozenset({Signal.LATENCY_P50, Signal.LATENCY_P95, Signal.LATENCY_P99})
SHARES: Final = frozenset({Signal.ERROR_RATE, Signal.CLIENT_ERROR_RATE})
RED_SIGNALS: Final = LATENCIES | SHARES | {Signal.APDEX, Signal.REQUEST_RATE, Signal.ABSENCE}
RESOURCE_SIGNALS: Final = frozenset({Signal.CPU, Signal.MEMORY, Signal.THROTTLING, Signal.RESTARTS})
ON_LATENCY: Final = LATENCIES | {Signal.APDEX}
"""What charts of latency show, and how content callers are with it."""
APDEX_UNIT: Final = "{score}"
"""As UCUM writes what has no unit but a meaning."""
RATIOS: Final = SHARES | {Signal.CPU, Signal.MEMORY, Signal.THROTTLING}
RED_LABELS: Final[tuple[str, ...]] = get_args(GroupBy)

SPAN_KINDS: Final = tuple([kind.value for kind in SpanKind if kind != SpanKind.CANARY])
_OUTGOING: Final = frozenset({SpanKind.CLIENT.value, SpanKind.PRODUCER.value})

RESOURCE_LABELS: Final = ("service", "instance", "environment", "container", "image", "project", "host", "pid")
"""What containers and processes are told apart by; the service is joined to them where that can be told."""

_NUMBERS: Final = (
    *("warning", "critical", "window_s", "for_s", "keep_firing_for_s", "interval_s", "min_requests", "confidence"),
    *("grace_s", "no_data_after_s", "repeat_interval_s"),
)

OnNoData = Literal["tell", "resolve", "keep"]
_Seconds = Annotated[float, Field(ge=0, le=7 * DAY_S, allow_inf_nan=False)]
_Threshold = Annotated[float, Field(allow_inf_nan=False)]


def as_kept(labels: Mapping[str, str]) -> dict[str, str]:
    """Return labels to look for in the words of what is kept: stores have a mark in the place of NUL."""
    return {name: value.replace("\0", "\ufffd") for name, value in labels.items()}


class MetricChoice(BaseModel):
    """Which stored metric a rule with the signal `metric` is about; type and unit only where a name has several."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=_LABEL_CHARS, examples=["inference.queue.length"])
    aggregation: Aggregation | None = Field(None, description="Without it, the first that the metric's type has.")
    type: str | None = Field(None, max_length=50)
    unit: str | None = Field(None, max_length=50)


class Rule(BaseModel):
    """An alert rule. Durations are seconds, ratios 0 to 1."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rule_id: str = Field(
        pattern=r"^[a-z0-9][a-z0-9._-]{0,99}$",
        description="Its name for machines: small letters, digits, dots, dashes and underscores.",
        examples=["checkout-slow"],
    )
    name: str = Field(min_length=1, max_length=200, description="Its name for people.", examples=["Checkout is slow"])
    description: str = Field("", max_length=2_000, description="What it means and what to do; told with the alert.")
    runbook_url: str = Field("", max_length=1_000, pattern=r"^(https?://[^\s<>\"]+)?$")
    is_enabled: bool = True
    signal: Signal = Field(description="What is measured.")
    metric: MetricChoice | None = Field(None, description="For the signal `metric` only.")
    scope: Mapping[str, str] = Field(
        {},
        description="Whom it is about: labels and the values that they must have; `*` stands for anything.",
        examples=[{"service": "checkout-*", "environment": "production"}],
    )
    group_by: tuple[str, ...] | None = Field(
        None,
        max_length=_MAX_LABELS,
        description="One alert for each combination of these labels. Without it, one for each service; of resources, "
        "one for each instance and container; of restarts, one for each service, container and host.",
        validate_default=True,
    )
    comparison: Literal["above", "below"] = Field("above", description="On which side of a threshold it is bad.")
    warning: _Threshold | None = Field(None, description="From beyond here on it is bad; equal is still good.")
    critical: _Threshold | None = Field(None, description="From beyond here on it is very bad.")
    window_s: int | None = Field(
        None,
        ge=1,
        le=_LONGEST_WINDOW_S,
        description="Over how long it is measured. Without it a minute; for `restarts` ten. For `absence`, how far "
        "back a group is known: an hour, or four times the threshold.",
    )
    for_s: _Seconds = Field(0.0, description="How long it must be bad before the alert fires.")
    keep_firing_for_s: _Seconds = Field(60.0, description="How long it must be good before the alert is resolved.")
    interval_s: int = Field(5, ge=1, le=3_600, description="How often it is evaluated.")
    min_requests: int = Field(
        10,
        ge=0,
        le=1_000_000,
        description="Requests in the window below which latencies, error rates and Apdex are not judged.",
    )
    confidence: float = Field(
        0.95,
        ge=0,
        le=0.9999,
        description="Error rates are compared by the bound of their interval of this confidence (Wilson), so that a "
        "few unlucky requests are no alarm; 0 compares them as they are.",
    )
    grace_s: _Seconds = Field(0.0, description="How long a group that was never seen before is not judged.")
    on_no_data: OnNoData = Field(
        "tell",
        description="What becomes of an alert that fires when there is nothing more to judge: tell that there is no "
        "data, resolve it, or keep it firing.",
    )
    no_data_after_s: Annotated[float, Field(ge=1, le=7 * DAY_S)] = Field(
        120.0, description="How long there must be nothing to judge before that."
    )
    repeat_interval_s: Annotated[float, Field(ge=60, le=7 * DAY_S)] | None = Field(
        None, description="After how long an alert that still fires is told again; without it, as the settings say."
    )
    notify_by: tuple[str, ...] | None = Field(
        None,
        description="Alerts that have these labels in common are told together; a part of `group_by`. Without it, "
        "those of a service.",
    )
    channels: tuple[str, ...] = Field(
        (), max_length=50, description="The channels that it is told to; without any, all channels."
    )

    @model_validator(mode="before")
    @classmethod
    def _refuse_truths(cls, given: Any) -> Any:
        # Pydantic takes true for 1, and YAML takes yes for true.
        fields = given if isinstance(given, Mapping) else {}
        truth = next((field for field in _NUMBERS if isinstance(fields.get(field), bool)), None)
        if truth is not None:
            raise ValueError(f"{truth}: must be a number, not {str(fields[truth]).lower()}")
        return given

    @field_validator("scope")
    @classmethod
    def _check_scope(cls, scope: Mapping[str, str]) -> Mapping[str, str]:
        if len(scope) > _MAX_LABELS:
            raise ValueError(f"at most {_MAX_LABELS} labels may be named")
        for label, pattern in scope.items():
            if not 1 <= len(label) <= _LABEL_CHARS or len(pattern) > _LABEL_CHARS:
                raise ValueError(f"labels and values have at most {_LABEL_CHARS} characters")
        return as_kept(scope)

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_metric(self)
        _check_thresholds(self)
        _check_labels(self)
        if self.window_s is not None and self.signal == Signal.ABSENCE and self.window_s < 2 * self.largest_threshold:
            raise ValueError(
                "window_s: must be at least twice the largest threshold, as a group that is in it no more is forgotten"
            )
        return self

    @property
    def largest_threshold(self) -> float:
        """The threshold that is the greater one."""
        return max(threshold for threshold in (self.warning, self.critical) if threshold is not None)

    @property
    def labels(self) -> tuple[str, ...]:
        """What the alerts of this rule are told apart by."""
        if self.group_by is not None:
            return self.group_by
        if self.signal == Signal.RESTARTS:  # after a restart it is another instance
            return ("service", "container", "host")
        if self.signal in RESOURCE_SIGNALS:
            return ("service", "instance", "container")
        return () if self.signal == Signal.PIPELINE_LAG else ("service",)

    @property
    def exact_scope(self) -> dict[str, str]:
        """The labels that all of its alerts have by its scope, whether it groups by them or not."""
        return {label: value for label, value in self.scope.items() if "*" not in value}

    @property
    def notify_labels(self) -> tuple[str, ...]:
        """What alerts that are told together have in common."""
        if self.notify_by is not None:
            return self.notify_by
        return ("service",) if "service" in self.labels else ()

    @property
    def seconds(self) -> int:
        """Over how long it is measured."""
        if self.window_s is not None:
            return self.window_s
        if self.signal == Signal.ABSENCE:
            return max(_KNOWN_FOR_S, min(4 * round(self.largest_threshold), _LONGEST_WINDOW_S))
        return 600 if self.signal == Signal.RESTARTS else 60

    @property
    def span_kinds(self) -> frozenset[str]:
        """What is counted: the kinds that the scope names, what is asked of a peer, else the requests answered."""
        if (wanted := self.scope.get("span_kind")) is not None:
            pattern = pattern_of(wanted)
            return frozenset([kind for kind in SPAN_KINDS if matches(kind, pattern)])
        return _OUTGOING if "peer" in {*self.labels, *self.scope} else frozenset(REQUEST_KINDS)

    @property
    def unit(self) -> str:
        """The unit of the value, as in `Notification.unit`; of a metric, what the rule says or nothing."""
        if self.signal in LATENCIES or self.signal in (Signal.ABSENCE, Signal.PIPELINE_LAG):
            return "s"
        if self.signal == Signal.REQUEST_RATE:
            return "/s"
        if self.signal == Signal.APDEX:
            return APDEX_UNIT
        if self.signal in RATIOS:
            return "1"
        return (self.metric.unit or "") if self.metric else ""


def _check_metric(rule: Rule) -> None:
    if (rule.metric is not None) != (rule.signal == Signal.METRIC):
        raise ValueError("metric: must be given for the signal `metric`, and for no other")


def _check_thresholds(rule: Rule) -> None:
    thresholds = [threshold for threshold in (rule.warning, rule.critical) if threshold is not None]
    if not thresholds:
        raise ValueError("warning: at least one of warning and critical must be given")
    if len(thresholds) == 2:
        warning, critical = thresholds
        is_further = critical > warning if rule.comparison == "above" else critical < warning
        if not is_further:
            raise ValueError(f"critical: must lie further {rule.comparison} than warning")
    if rule.signal in RATIOS and not all(0 <= threshold <= 1 for threshold in thresholds):
        raise ValueError("warning: thresholds of this signal are ratios, 0 to 1; 5 % is 0.05")
    if rule.signal in SHARES and rule.comparison == "above" and max(thresholds) >= 1:
        raise ValueError("critical: a rate is never above 1")
    if rule.signal == Signal.APDEX and rule.comparison != "below":
        raise ValueError("comparison: of Apdex, only below is bad")
    if rule.signal == Signal.APDEX and not all(0 < threshold <= 1 for threshold in thresholds):
        raise ValueError("warning: thresholds of Apdex are scores, above 0 up to 1")
    if rule.signal != Signal.METRIC and min(thresholds) < 0:
        raise ValueError("warning: thresholds of this signal are not negative")
    if rule.signal in (Signal.ABSENCE, Signal.PIPELINE_LAG) and rule.comparison != "above":
        raise ValueError("comparison: of this signal, only above is bad")
    if rule.signal == Signal.ABSENCE and 2 * max(thresholds) > _LONGEST_WINDOW_S:
        raise ValueError("warning: of this signal, thresholds are at most half of 31 days: 1339200 s")
    if rule.signal in SHARES and rule.comparison == "below":
        raise ValueError("comparison: of error rates, only above is bad")


def _check_labels(rule: Rule) -> None:
    for field, labels in (("group_by", rule.labels), ("notify_by", rule.notify_labels)):
        if len(set(labels)) < len(labels):
            raise ValueError(f"{field}: each label may be named once")
    for field, names in (("group_by", rule.labels), ("scope", tuple(rule.scope))):
        if rule.signal in RED_SIGNALS and (unknown := [name for name in names if name not in RED_LABELS]):
            raise ValueError(f"{field}: there is no label {unknown[0]!r}: use any of {', '.join(RED_LABELS)}")
        if rule.signal in RESOURCE_SIGNALS and (unknown := [name for name in names if name not in RESOURCE_LABELS]):
            raise ValueError(f"{field}: there is no label {unknown[0]!r}: use any of {', '.join(RESOURCE_LABELS)}")
        if rule.signal == Signal.PIPELINE_LAG and names:
            raise ValueError(f"{field}: the pipeline has no labels")
    if rule.signal in RED_SIGNALS and not rule.span_kinds:
        kind = rule.scope["span_kind"]
        raise ValueError(f"scope: there is no span_kind {kind!r}: use any of {', '.join(SPAN_KINDS)}")
    if rule.signal == Signal.METRIC:
        wild = [label for label, pattern in rule.scope.items() if "*" in pattern and label not in rule.labels]
        if wild:
            raise ValueError(f"scope: of metrics, a label that is given with * must be in group_by: {wild[0]!r} is not")
    if not set(rule.notify_labels) <= set(rule.labels):
        raise ValueError("notify_by: must be a part of group_by")
    if len({*rule.labels, *rule.scope}) > _MAX_LABELS:
        raise ValueError(f"scope: at most {_MAX_LABELS} labels may be named, with those of group_by")
