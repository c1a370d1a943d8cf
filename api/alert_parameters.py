"""The query parameters of the routes about alerts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pydantic import Field

from alerting.notification import Severity
from alerting.states import Phase
from api.paging import PageParameters
from api.parameters import Time
from query import QuestionError

if TYPE_CHECKING:
    from alerting.desk import DeliveryKey, HistoryKey

_LABEL: Final = 256
_TEXT: Final = r"^[^\x00]*$"
"""PostgreSQL can be asked for no text with NUL in it."""
_HISTORY_KEY: Final = re.compile(r"\d{1,15}\.[0-9a-f]{24}\.\d{1,12}", re.ASCII)
_DELIVERY_KEY: Final = re.compile(r"\d{1,15}\.(test-)?[0-9a-f]{1,64}\.[^\x00]{1,300}", re.ASCII)


def delivery_key(text: str) -> DeliveryKey:
    """Read the cursor of a page of notifications. Raises `QuestionError`."""
    _check(_DELIVERY_KEY, text)
    created_ms, notification_id, channel = text.split(".", 2)
    return int(created_ms), notification_id, channel


def history_key(text: str) -> HistoryKey:
    """Read the cursor of a page of changes. Raises `QuestionError`."""
    _check(_HISTORY_KEY, text)
    at_ms, alert_id, sequence = text.split(".")
    return int(at_ms), alert_id, int(sequence)


def cursor_of(key: DeliveryKey | HistoryKey) -> str:
    """Return the cursor of what follows the change or the notification of this key."""
    return ".".join(map(str, key))


def _check(shape: re.Pattern[str], cursor: str) -> None:
    if not shape.fullmatch(cursor):
        raise QuestionError("cursor", "it is not the `next_cursor` of an answer")


class OpenAlertsParameters(PageParameters, extra="forbid"):
    """The parameters of `/api/v1/alerts`."""

    service: str | None = Field(
        None, max_length=_LABEL, pattern=_TEXT, description="Only of this service.", examples=["churn"]
    )
    rule: str | None = Field(
        None, max_length=_LABEL, pattern=_TEXT, description="Only of this rule.", examples=["high-latency"]
    )
    severity: Severity | None = Field(None, description="Only of this severity.", examples=["critical"])
    state: Phase | None = Field(None, description="Only in this state.", examples=["firing"])
    limit: int = Field(500, ge=1, le=5_000, description="Most items of one page.", examples=[500])


class AlertHistoryParameters(PageParameters, extra="forbid"):
    """The parameters of `/api/v1/alerts/history`."""

    rule: str | None = Field(
        None, max_length=_LABEL, pattern=_TEXT, description="Only of this rule.", examples=["high-latency"]
    )
    alert: str | None = Field(
        None, max_length=_LABEL, pattern=_TEXT, description="Only of this alert.", examples=["5f0c4a1de8a5b1c2d3e4f506"]
    )
    start: Time | None = Field(None, description="Only from then on.", examples=["2026-11-22T09:00:00Z"])
    end: Time | None = Field(None, description="Only before then.", examples=["2026-11-22T10:00:00Z"])
    limit: int = Field(100, ge=1, le=1_000, description="Most items of one page.", examples=[100])


class AlertDeliveriesParameters(PageParameters, extra="forbid"):
    """The parameters of `/api/v1/alert-notifications`."""

    channel: str | None = Field(
        None, max_length=_LABEL, pattern=_TEXT, description="Only to this channel.", examples=["on-call"]
    )
    limit: int = Field(100, ge=1, le=1_000, description="Most items of one page.", examples=[100])
