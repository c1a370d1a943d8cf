"""An alert: one group of one rule, its state, and the form that both are kept in.

Between the pure parts of the room and the store.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final, NamedTuple

import orjson
from pydantic import TypeAdapter

from alerting.states import AlertState, Transition
from storage.alert_rounds import StateRow, TransitionRow
from telemetry.metric_series import canonical_labels

_MS_PER_S: Final = 1_000
_STATES: Final = TypeAdapter(AlertState)
_TRANSITIONS: Final = TypeAdapter(Transition)


class Alert(NamedTuple):
    """One group of one rule; the rule may be gone while its alert is not."""

    alert_id: str
    rule_id: str
    labels: Mapping[str, str]
    state: AlertState


def alert_id_of(rule_id: str, labels: Mapping[str, str]) -> str:
    """Return the id of an alert: the same in every process, and after every restart."""
    parts = f"{len(rule_id)}:{rule_id}{canonical_labels(dict(labels))}"
    return hashlib.blake2b(parts.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def row_of(alert: Alert) -> StateRow:
    """Return the form that an alert is kept in."""
    document = orjson.dumps({"labels": dict(alert.labels), "state": _STATES.dump_python(alert.state, mode="json")})
    return StateRow(alert.alert_id, alert.rule_id, alert.state.phase.value, document.decode())


def alert_of(row: StateRow) -> Alert:
    """Read what `row_of` wrote."""
    found = orjson.loads(row.document)
    return Alert(row.alert_id, row.rule_id, found["labels"], _STATES.validate_python(found["state"]))


def transition_row_of(alert: Alert, transition: Transition) -> TransitionRow:
    """Return the form that a transition is kept in."""
    document = orjson.dumps(
        {"labels": dict(alert.labels), "transition": _TRANSITIONS.dump_python(transition, mode="json")}
    )
    at_ms = round(transition.at_s * _MS_PER_S)
    return TransitionRow(at_ms, alert.alert_id, alert.state.sequence, alert.rule_id, document.decode())


def transition_of(row: TransitionRow) -> tuple[Mapping[str, str], Transition]:
    """Read labels and transition from what `transition_row_of` wrote."""
    found = orjson.loads(row.document)
    return found["labels"], _TRANSITIONS.validate_python(found["transition"])
