"""The shapes of what the API takes and answers about alerts, as OpenAPI shows them.

`api/alert_documents.py` fills the answers; a rule is `alerting.rules.Rule` itself.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, Field, model_validator

from alerting.notification import Notification, Severity
from alerting.rules import Rule
from alerting.states import Phase
from api.models import Count, Document, NextCursor, Seconds, Time
from api.parameters import Duration
from api.parameters import Time as AnyTime

Labels = dict[str, str]


class AlertAck(Document):
    """Who took note of an alert."""

    by: str
    note: str
    severity: Severity
    at: Time


class AlertLinks(Document):
    """Where to look further; paths of this server, or addresses if a public one is set."""

    page: str
    alerts: str


class OpenAlert(Document):
    """An alert that is pending, firing or without data."""

    alert_id: str = Field(examples=["5f0c4a1de8a5b1c2d3e4f506"])
    rule_id: str = Field(examples=["high-latency"])
    rule_name: str = Field(examples=["High latency"])
    signal: str = Field(examples=["latency_p95"])
    unit: str = Field(description="Of value and threshold: `s`, `1` for ratios, `/s`, or the metric's own.")
    labels: Labels
    state: Phase
    severity: Severity | None = Field(description="`null` while it is pending.")
    value: float | None = Field(description="What was measured last; `null` without data.")
    compared: float | None = Field(description="What was compared: the value, or for rates its confidence bound.")
    threshold: float | None
    summary: str = Field(examples=["P95 1.92 s over the last minute, above 1 s"])
    reason: str
    since: Time = Field(description="When it came into this state.")
    started: Time | None = Field(description="When it began to fire.")
    is_flapping: bool
    ack: AlertAck | None
    silenced_until: Time | None
    links: AlertLinks


class EvaluatorReport(Document):
    """How fresh the states are. While they are frozen, nothing fires and nothing is resolved."""

    evaluated: Time | None = Field(description="When alerts were evaluated last; `null` if never.")
    is_frozen: bool
    frozen_reason: str
    frozen_since: Time | None
    rules: Count
    groups: Count
    left_out: Count = Field(description="Groups that are bad and are no alerts, as too many are open.")
    round_s: Seconds


class OpenAlerts(Document):
    """What is pending, firing or without data: the gravest first. `total` is how many there are on all pages."""

    items: list[OpenAlert]
    next_cursor: NextCursor
    total: Count
    firing: Count = Field(description="Alerts that fire, whatever is asked for.")
    no_data: Count = Field(description="Alerts that fired until there was nothing to judge, whatever is asked for.")
    evaluator: EvaluatorReport


class AlertTransition(Document):
    """A change of an alert."""

    alert_id: str
    rule_id: str
    labels: Labels
    time: Time
    before: Phase
    after: Phase
    severity: Severity | None
    value: float | None
    compared: float | None
    threshold: float | None
    reason: str
    is_flapping: bool


class AlertHistory(Document):
    """Transitions, latest first."""

    items: list[AlertTransition]
    next_cursor: NextCursor


class AckRequest(BaseModel, extra="forbid"):
    """Taking note of an alert."""

    by: str = Field("", max_length=200, examples=["ann"])
    note: str = Field("", max_length=2_000, examples=["rolling back 1.4.0"])


class AlertRule(Document):
    """A rule, and where it stands."""

    rule: Rule
    revision: Count = Field(description="Grows with every change; 0 for a built-in rule as it came. Also the ETag.")
    is_built_in: bool = Field(description="Deleting a built-in rule makes it what it was at first.")
    changed: Time | None
    failure: str | None = Field(description="Why it cannot be evaluated.")
    channel_trouble: str | None = Field(description="What is amiss with the channels that it names.")


class AlertRules(Document):
    """All rules, by id."""

    items: list[AlertRule]
    next_cursor: NextCursor


class BacktestRequest(BaseModel, extra="forbid"):
    """A rule, saved or not, and the time to replay: the past 24 hours without any."""

    rule: Rule
    start: AnyTime | None = None
    end: AnyTime | None = None


class BacktestEpisode(Document):
    """A time that an alert would have fired for; `ended` is `null` if it still would."""

    labels: Labels
    started: Time
    ended: Time | None
    severity: Severity
    peak: float | None = Field(description="The value farthest beyond the threshold.")


class BacktestSeries(Document):
    """A value for the end of every step from `start` on, the last at `end`; `null` where there was nothing to judge."""

    labels: Labels
    values: list[float | None]


class Backtest(Document):
    """When the rule would have fired, how often and how long; `start` is moved down to a multiple of `step_s`."""

    start: Time
    end: Time
    step_s: Count
    window_s: Count
    groups: Count
    fired: Count
    firing_s: Seconds
    longest_s: Seconds
    episodes: list[BacktestEpisode]
    series: list[BacktestSeries] = Field(description="Of the ten groups that came farthest.")


class SilenceRequest(BaseModel, extra="forbid"):
    """A silence or maintenance window. It has an end: `ends`, or `duration` from its start."""

    rule: str = Field("*", min_length=1, max_length=256, description="Id of the rule; `*` stands for anything.")
    labels: Labels = Field({}, max_length=20, examples=[{"service": "churn-*"}])
    severity: Literal["warning", "critical"] | None = None
    starts: AnyTime | None = Field(None, description="Now, without it.")
    ends: AnyTime | None = None
    duration: Duration | None = None
    comment: str = Field(min_length=1, max_length=2_000, examples=["moving the database"])
    created_by: str = Field("", max_length=200)

    @model_validator(mode="after")
    def _has_an_end(self) -> Self:
        if (self.ends is None) == (self.duration is None):
            raise ValueError("ends: give either ends or duration")
        return self


class AlertSilence(Document):
    """A silence."""

    silence_id: str
    rule: str
    labels: Labels
    severity: Literal["warning", "critical"] | None
    starts: Time
    ends: Time
    is_active: bool
    comment: str
    created_by: str
    created: Time


class AlertSilences(Document):
    """The silences that have not ended, those that end first first."""

    items: list[AlertSilence]
    next_cursor: NextCursor


class AlertDelivery(Document):
    """A notification to one channel."""

    channel: str
    status: Literal["waiting", "sent", "failed"]
    attempts: Count
    detail: str = Field(description="Why it waits or failed.")
    created: Time
    due: Time | None = Field(description="When it is tried next; `null` unless it waits.")
    finished: Time | None
    notification: Notification


class AlertDeliveries(Document):
    """Notifications, latest first."""

    items: list[AlertDelivery]
    next_cursor: NextCursor
