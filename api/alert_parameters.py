"""The query parameters of the routes about alerts."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, Field

from alerting.desk import DeliveryKey, HistoryKey
from alerting.notification import Severity
from alerting.states import Phase
from api.parameters import Time

_LABEL: Final = 256
_TEXT: Final = r"^[^\x00]*$"
"""PostgreSQL can be asked for no text with NUL in it."""
_HISTORY_KEY: Final = r"^\d{1,15}\.[0-9a-f]{24}\.\d{1,12}$"

_DELIVERY_KEY: Final = r"^\d{1,15}\.[0-9a-f]{1,64}\.[^\x00]+$"


def delivery_key(text: str) -> DeliveryKey:
    """Read what `next` of a page of notifications said."""
    created_ms, notification_id, channel = text.split(".", 2)
    return int(created_ms), notification_id, channel


def history_key(text: str) -> HistoryKey:
    """Read what `next` of a page said, of which the parameter's pattern has been checked."""
    at_ms, alert_id, sequence = text.split(".")
    return int(at_ms), alert_id, int(sequence)


class OpenAlertsParameters(BaseModel, extra="forbid"):
    """The parameters of `/api/v1/alerts`."""

    service: str | None = Field(
        None, max_length=_LABEL, pattern=_TEXT, description="Only of this service.", examples=["churn"]
    )
    rule: str | None = Field(
        None, max_length=_LABEL, pattern=_TEXT, description="Only of this rule.", examples=["high-latency"]
    )
    severity: Severity | None = Field(None, description="Only of this severity.", examples=["critical"])
    state: Phase | None = Field(None, description="Only in this state.", examples=["firing"])
    limit: int = Field(500, ge=1, le=5_000, description="The most items to answer with.", examples=[500])


class AlertHistoryParameters(BaseModel, extra="forbid"):
    """The parameters of `/api/v1/alerts/history`."""

    rule: str | None = Field(
        None, max_length=_LABEL, pattern=_TEXT, description="Only of this rule.", examples=["high-latency"]
    )
    alert: str | None = Field(
        None, max_length=_LABEL, pattern=_TEXT, description="Only of this alert.", examples=["5f0c4a1de8a5b1c2d3e4f506"]
    )
    start: Time | None = Field(None, description="Only from then on.", examples=["2026-11-22T09:00:00Z"])
    end: Time | None = Field(None, description="Only before then.", examples=["2026-11-22T10:00:00Z"])
    before: str | None = Field(
        None,
        pattern=_HISTORY_KEY,
        description="Only what was before: the `next` of the page before.",
        examples=["1795341600000.5f0c4a1de8a5b1c2d3e4f506.3"],
    )
    limit: int = Field(100, ge=1, le=1_000, description="The most items to answer with.", examples=[100])


class AlertDeliveriesParameters(BaseModel, extra="forbid"):
    """The parameters of `/api/v1/alert-notifications`."""

    channel: str | None = Field(
        None, max_length=_LABEL, pattern=_TEXT, description="Only to this channel.", examples=["on-call"]
    )
    before: str | None = Field(
        None,
        pattern=_DELIVERY_KEY,
        max_length=400,
        description="Only what was before: the `next` of the page before.",
        examples=["1795341600000.8d0a6f3b1c2d4e5f60718293.on-call"],
    )
    limit: int = Field(100, ge=1, le=1_000, description="The most items to answer with.", examples=[100])
