"""What alerts are called on the page: labels, severities, states, lengths of time.

Pure; used by the modules that draw the lists.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from dash import html
from dash.development.base_component import Component

from alerting.notification import Severity
from alerting.states import Phase
from dash_app.shared.components import Moment
from dash_app.shared.names import is_blank, visible
from query.health import duration_text

_LONGEST: Final = 120
_BETWEEN: Final = re.compile(r"(\d) (\w)")
"""What is between a number and its unit, where no line may break."""
TONES: Final = {Severity.CRITICAL: "critical", Severity.WARNING: "degraded", None: "no_data"}
_STATES: Final = {
    Phase.INACTIVE: "Inactive",
    Phase.PENDING: "Pending",
    Phase.FIRING: "Firing",
    Phase.NO_DATA: "No data",
    Phase.RESOLVED: "Resolved",
}


def shown(name: str) -> str:
    """Return a name from spans so that every letter is seen, cut where it is very long."""
    text = visible(name[: _LONGEST + 1])
    return text if len(name) <= _LONGEST else f"{text[:_LONGEST]}…"


def title_of(rule_name: str, labels: Mapping[str, str]) -> list[Component]:
    """Return the service or, without one, the first label, and what fires of it."""
    first = labels.get("service") or next(iter(labels.values()), "")
    parts: list[Component] = [html.Bdi(shown(first), className="alert-name")] if first else []
    return [*parts, html.Span(shown(rule_name), className="alert-rule")]


def labels_line(labels: Mapping[str, str], without: str = "") -> list[Component]:
    """Return labels as small tags, each in a direction of its own."""
    return [
        html.Span(
            [html.Span(f"{shown(name)}="), html.Bdi(shown(value), className="is-blank" if is_blank(value) else "")],
            className="label-tag",
            title=visible(value[:1_000]),
        )
        for name, value in labels.items()
        if name != without and value
    ]


def severity_pill(severity: Severity | None, phase: Phase) -> Component:
    """Return the severity as text and colour; where none is on, the state."""
    if phase is Phase.NO_DATA:
        return html.Span("No data", className="pill is-no_data")
    if severity is None:
        return html.Span(_STATES[phase], className="pill is-no_data")
    return html.Span(severity.value.capitalize(), className=f"pill is-{TONES[severity]}")


def state_pill(severity: Severity | None, phase: Phase) -> Component:
    """Return where an alert went in its history."""
    if phase in (Phase.RESOLVED, Phase.INACTIVE):
        return html.Span(_STATES[phase], className="pill is-healthy")
    return severity_pill(severity, phase)


def length(seconds: float) -> str:
    """Return a length of time in its two largest units: "45 s", "3 min 20 s", "2 h 5 min", "3 d 4 h"."""
    return _BETWEEN.sub("\\1\u00a0\\2", duration_text(max(round(seconds), 0)))


def moment(second: float) -> Component:
    """Return a time in the reader's zone."""
    return Moment(int(second))
