"""What is told when alerts change: a plain value, complete in itself, that any channel can make a message of.

Made by the evaluator in the transaction that changes the states; kept in the outbox as JSON until every channel has
taken it. Times are Unix seconds, durations seconds, ratios 0 to 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field


class Severity(StrEnum):
    """How bad it is; declared from mild to grave."""

    WARNING = "warning"
    CRITICAL = "critical"


class Told(StrEnum):
    """What a notification says of an alert."""

    FIRING = "firing"
    RESOLVED = "resolved"
    NO_DATA = "no_data"


_RANK: Final = {severity: rank for rank, severity in enumerate(Severity)}
_GRAVITY: Final = {Told.RESOLVED: 0, Told.NO_DATA: 1, Told.FIRING: 2}


class _Value(BaseModel):
    # What a newer ModelWatch adds must not keep this one from sending what that put into the outbox.
    model_config = ConfigDict(frozen=True, extra="ignore")


class Contributor(_Value):
    """The route, version or instance that contributes most to an alert, with its own figures."""

    dimension: Literal["service", "route", "version", "instance"]
    name: str
    calls: int
    errors: int
    p95_s: float | None
    share: float = Field(description="Of the errors for rates, of discontent for Apdex, else of the calls; 0 to 1.")


class Evidence(_Value):
    """What else was measured in the window that the alert was judged by. What is not known is `None`."""

    at_s: float = Field(0.0, description="The end of the window; of what is over or without data, when it began.")
    window_s: int
    calls: int | None = None
    errors: int | None = None
    client_errors: int | None = None
    rate_per_s: float | None = None
    p50_s: float | None = None
    p95_s: float | None = None
    p99_s: float | None = None
    contributors: tuple[Contributor, ...] = ()
    cpu_cores: float | None = None
    cpu_share: float | None = Field(None, description="CPU used of what the container may use.")
    memory_bytes: float | None = None
    memory_share: float | None = Field(None, description="Memory used of what the container may use.")


class Links(_Value):
    """Addresses of pages; without a public address in the settings they begin with a slash."""

    page: str = Field(description="The service at the time of the alert.")
    alerts: str = Field(description="The page of alerts.")


class AlertItem(_Value):
    """One alert in a notification."""

    alert_id: str
    state: Told
    severity: Severity = Field(description="Of a resolved alert: the worst that it had been.")
    labels: Mapping[str, str] = Field(description="What the alert is about, by the names of the rule's `group_by`.")
    summary: str = Field(description="One sentence with the numbers, for people.")
    value: float | None = Field(description="What was measured, in `Notification.unit`; `None` without data.")
    compared: float | None = Field(description="What was compared: the value, or for rates its confidence bound.")
    threshold: float
    measured_s: float = Field(
        0.0, description="When `value` was measured: of news that it fires, when that began, however late it is told."
    )
    value_now: float | None = Field(None, description="What is measured as it is told.")
    started_s: float
    ended_s: float | None = None
    reason: str = Field(description="Why it changed, or why it is told again.")
    is_repeat: bool = False
    is_flapping: bool = False
    evidence: Evidence | None = None
    links: Links


class Notification(_Value):
    """The news of one rule and one group of alerts, the worst first.

    `notification_id` is the same however often it is sent: whoever gets it twice can tell. `severity` is the worst of
    the items, `state` the gravest: firing, then no data, then resolved.
    """

    notification_id: str
    created_s: float
    rule_id: str
    rule_name: str
    description: str = ""
    runbook_url: str = ""
    signal: str
    unit: str = Field(description="`s`, `1` for ratios, `/s`, or the metric's own.")
    comparison: Literal["above", "below"]
    group_labels: Mapping[str, str] = Field(description="What all items have in common; empty for the whole rule.")
    scope_labels: Mapping[str, str] = Field(
        {}, description="What the rule's scope says of all of its alerts; channels are chosen by it too."
    )
    state: Told
    severity: Severity
    items: tuple[AlertItem, ...]
    left_out: int = Field(0, description="Further alerts of the group that changed and are not among the items.")
    is_test: bool = False

    def with_only(self, items: Sequence[AlertItem]) -> Self:
        """Return the notification with only these of its items, of which there is one at least."""
        if len(items) == len(self.items):
            return self
        return self.model_copy(
            update={
                "items": tuple(items),
                "state": max([item.state for item in items], key=_GRAVITY.__getitem__),
                "severity": max([item.severity for item in items], key=_RANK.__getitem__),
            }
        )
