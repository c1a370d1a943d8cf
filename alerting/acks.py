"""Acknowledgements: somebody took note of an alert, so that it is not told again and again.

They hold for one episode, from when the alert fired until it is resolved, and for no graver severity.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from alerting.notification import Severity
from alerting.states import AlertState
from storage.alert_documents import AckRow


class Ack(BaseModel):
    """Who took note of which episode of an alert, and what they said of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    alert_id: str
    started_s: float
    severity: Severity
    by: str = Field("", max_length=200)
    note: str = Field("", max_length=2_000)
    at_s: float

    def holds_for(self, state: AlertState) -> bool:
        """Tell whether it is about the episode that an alert is in."""
        return state.started_s == self.started_s and state.severity is not None


def acks_of(rows: list[AckRow]) -> dict[str, Ack]:
    """Read acknowledgements by alert; what a newer ModelWatch wrote is left out."""
    found = {}
    for row in rows:
        try:
            found[row.alert_id] = Ack.model_validate_json(row.document)
        except ValidationError:
            continue
    return found


def severities_of(acks: Mapping[str, Ack], states: Mapping[str, AlertState]) -> dict[str, Severity]:
    """Return by alert the severity that somebody took note of, as far as it holds."""
    return {
        alert_id: ack.severity
        for alert_id, ack in acks.items()
        if alert_id in states and ack.holds_for(states[alert_id])
    }
