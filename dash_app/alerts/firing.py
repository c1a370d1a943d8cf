"""What fires, as a list, and the one alert that was chosen from it.

Pure, from a `Snapshot` to components.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from dash import html
from dash.development.base_component import Component

from alerting.desk import OpenAlert, Past
from alerting.notification import Evidence
from alerting.rules import LATENCIES, SHARES, Signal
from alerting.states import Phase
from alerting.wording import name_of, summary_of, value_text, window_text
from dash_app.alerts.filtering import left_out_text, may_be_of
from dash_app.alerts.snapshot import Snapshot
from dash_app.alerts.words import labels_line, length, moment, severity_pill, shown, state_pill, title_of
from dash_app.shared import formatting
from dash_app.shared.components import PageLink, csv_row
from dash_app.shared.names import visible

MOST_ENTRIES: Final = 200
OPEN_COLUMNS: Final = ("time", "rule", "severity", "state", "value", "labels", "acknowledged_by", "alert")
_FIRES: Final = (Phase.FIRING, Phase.NO_DATA)


def is_firing(one: OpenAlert) -> bool:
    """Tell whether it fires or lost its data, so that people must know."""
    return one.alert.state.phase in _FIRES


def in_view(snapshot: Snapshot) -> list[OpenAlert]:
    """Leave out what the filter certainly keeps out."""
    return [one for one in snapshot.open_alerts if may_be_of(snapshot.view.where, one.alert.labels)]


def firing_list(snapshot: Snapshot) -> list[Component]:
    """Return what fires, the gravest first, then what is pending; or the good news."""
    found = in_view(snapshot)
    firing = [one for one in found if is_firing(one)]
    pending = [one for one in found if not is_firing(one)]
    parts = [_entry(one, snapshot) for one in firing[:MOST_ENTRIES]] or [_nothing_fires(snapshot)]
    if (left := len(firing) - MOST_ENTRIES) > 0:
        parts.append(html.Div(f"and {left} more that fire", className="alerts-none"))
    if pending:
        parts.append(html.H3("Pending: bad, but not for long enough yet"))
        parts += [_entry(one, snapshot) for one in pending[:MOST_ENTRIES]]
    return parts


def firing_count(snapshot: Snapshot) -> str:
    """Return how many fire, and how many others the filters leave out."""
    found = in_view(snapshot)
    others = sum(map(is_firing, snapshot.open_alerts)) - sum(map(is_firing, found))
    return left_out_text(str(sum(map(is_firing, found)) or ""), others)


def _nothing_fires(snapshot: Snapshot) -> Component:
    if not snapshot.report.at_s:
        return html.Div(
            [html.B("No rule was evaluated yet"), html.Div("Alerts appear here within seconds of the first round.")],
            className="alerts-none",
        )
    enabled = sum(one.rule.is_enabled for one in snapshot.rules)
    if not enabled:
        return html.Div(
            [html.B("No rule is turned on"), html.Div("Turn one on, or write one, under Rules.")],
            className="alerts-none",
        )
    return html.Div(
        [
            html.B("Nothing fires", className="is-good"),
            html.Div(f"{formatting.plural(enabled, 'rule')} evaluated {_age(snapshot, snapshot.report.at_s)} ago."),
        ],
        className="alerts-none",
    )


def _age(snapshot: Snapshot, second: float) -> str:
    return length(snapshot.now_s - second)


def summary(one: OpenAlert) -> str:
    """Return the sentence with the numbers."""
    state = one.alert.state
    if one.rule is None:
        return state.reason
    return summary_of(one.rule.rule, state.value, state.compared, one.threshold)


def _entry(one: OpenAlert, snapshot: Snapshot) -> Component:
    alert, state = one.alert, one.alert.state
    since_s = state.started_s if is_firing(one) else state.since_s
    is_chosen = alert.alert_id == snapshot.view.alert_id
    return PageLink(
        "/alerts",
        [
            severity_pill(state.severity, state.phase),
            html.Div(
                [
                    html.Div(title_of(snapshot.rule_name(alert.rule_id), alert.labels), className="alert-title"),
                    html.Div(visible(summary(one)), className="alert-evidence"),
                    html.Div([*labels_line(alert.labels, "service"), *flags(one, snapshot)], className="alert-tags"),
                ],
                **csv_row(
                    *(round(1e3 * since_s), alert.rule_id, state.severity, state.phase, state.value),
                    *(dict(alert.labels), one.ack.by if one.ack else None, alert.alert_id),
                ),
            ),
            html.Span(_age(snapshot, since_s), className="alert-age mono", title="Since when"),
        ],
        "alert-entry is-chosen" if is_chosen else "alert-entry",
        {"tab": "firing", "alert": alert.alert_id},
        key=alert.alert_id,
    )


def flags(one: OpenAlert, snapshot: Snapshot) -> list[Component]:
    """Return what somebody did about the alert, and what is odd about it."""
    found: list[Component] = []
    if one.ack is not None:
        by = f" by {shown(one.ack.by)}" if one.ack.by else ""
        found.append(html.Span(f"Acknowledged{by}", className="flag is-accent"))
    if one.silence is not None:
        found.append(
            html.Span(f"Silenced for {length(one.silence.ends_s - snapshot.now_s)}", className="flag is-muted")
        )
    if one.alert.state.is_flapping:
        found.append(html.Span("Flapping", className="flag is-degraded"))
    return found


def detail(snapshot: Snapshot) -> list[Component]:
    """Return all that is known of the chosen alert."""
    one = snapshot.chosen
    close = PageLink("/alerts", "Close", "link-button", {"tab": "firing", "alert": None})
    if one is None:
        text = "This alert is over." if snapshot.past else "There is no such alert."
        head = html.Div([html.H2(text), close], className="card-head")
        return [head, *past_list(snapshot.past, snapshot)]
    alert = one.alert
    head = html.Div(
        [
            html.H2([*title_of(snapshot.rule_name(alert.rule_id), alert.labels)]),
            close,
        ],
        className="card-head",
    )
    return [
        head,
        html.Div(_facts(one, snapshot), className="alert-facts"),
        *_evidence(snapshot.evidence, one),
        *past_list(snapshot.past, snapshot),
    ]


def _facts(one: OpenAlert, snapshot: Snapshot) -> list[Component]:
    alert, state, rule = one.alert, one.alert.state, one.rule.rule if one.rule else None
    unit = rule.unit if rule else ""
    since_s = state.started_s if is_firing(one) else state.since_s
    rows: list[tuple[str, Any]] = [
        ("State", [severity_pill(state.severity, state.phase), *flags(one, snapshot)]),
        (name_of(rule)[:1].upper() + name_of(rule)[1:] if rule else "Value", html.B(value_text(state.value, unit))),
    ]
    if one.threshold is not None and rule is not None:
        rows.append(("Threshold", f"{rule.comparison} {value_text(one.threshold, unit)}"))
    if state.compared is not None and state.compared != state.value:
        rows.append(("Surely at least", value_text(state.compared, unit)))
    rows += [
        ("Since", [moment(since_s), f" ({_age(snapshot, since_s)})"]),
        ("Why", visible(state.reason)),
        ("About", html.Span(labels_line(alert.labels) or "everything", className="alert-tags")),
    ]
    if one.ack is not None:
        note = f": {visible(one.ack.note)}" if one.ack.note else ""
        rows.append(("Acknowledged", [moment(one.ack.at_s), f" by {shown(one.ack.by) if one.ack.by else '–'}{note}"]))
    if one.silence is not None:
        rows.append(("Silenced", ["until ", moment(one.silence.ends_s), f": {visible(one.silence.comment)}"]))
    if rule is not None and rule.description:
        rows.append(("What to do", visible(rule.description)))
    rows.append(("Look at", html.Span(_links(one), className="alert-links")))
    return [html.Div([html.Dt(name), html.Dd(value)]) for name, value in rows]


def _requests_of(one: OpenAlert, service: str) -> dict[str, str | None]:
    """Return the fields of the address of the requests that an alert is about; the worst of them first."""
    labels, rule = one.alert.labels, one.rule.rule if one.rule else None
    of_group = {field: labels.get(field) for field in ("route", "version", "instance", "model")}
    is_about_errors = rule is not None and rule.signal in SHARES
    is_about_latency = rule is not None and rule.signal in LATENCIES
    return {
        "name": service,
        **of_group,
        "show": "errors" if is_about_errors else None,
        "sort": "duration" if is_about_latency else None,
    }


def _links(one: OpenAlert) -> list[Component]:
    labels, rule = one.alert.labels, one.rule.rule if one.rule else None
    found: list[Component] = []
    if service := labels.get("service"):
        found.append(PageLink("/service", "The service", "link-button", {"name": service}))
        found.append(PageLink("/traces", "Single requests", "link-button", _requests_of(one, service)))
    found.append(PageLink("/alerts", "The rule", "link-button", {"tab": "rules", "rule": one.alert.rule_id}))
    found.append(
        PageLink(
            "/alerts", "History of the rule", "link-button", {"tab": "history", "of": one.alert.rule_id, "before": None}
        )
    )
    if rule is not None and rule.runbook_url:
        found.append(
            html.A(
                "Runbook", href=rule.runbook_url, target="_blank", rel="noopener noreferrer", className="link-button"
            )
        )
    return found


def _evidence(found: Evidence | None, one: OpenAlert) -> list[Component]:
    """Return the figures of the window at the end of which the alert began to fire, and who contributed most."""
    if found is None:
        return []
    signal = one.rule.rule.signal if one.rule is not None else None
    whole = "errors" if signal in SHARES else "discontent" if signal == Signal.APDEX else "calls"
    parts = []
    if found.calls is not None:
        parts.append(f"{formatting.plural(found.calls, 'call')}")
    if found.errors:
        parts.append(formatting.plural(found.errors, "error"))
    if found.p95_s is not None:
        parts.append(f"P95 {formatting.duration(found.p95_s).text}")
    if found.cpu_share is not None:
        parts.append(f"CPU {formatting.percent(found.cpu_share).text}")
    if found.memory_share is not None:
        parts.append(f"memory {formatting.percent(found.memory_share).text}")
    rows = [
        html.Div(
            [
                html.Dt(f"Top {one.dimension}"),
                html.Dd(
                    [
                        html.Bdi(shown(one.name)),
                        f": {formatting.percent(one.share).text} of the {whole}, "
                        f"{formatting.plural(one.calls, 'call')}, {formatting.plural(one.errors, 'error')}, "
                        f"P95 {formatting.duration(one.p95_s).text}",
                    ]
                ),
            ]
        )
        for one in found.contributors
    ]
    over = window_text(found.window_s).removeprefix("the ").capitalize()
    figures = html.Div([html.Dt(over), html.Dd(", ".join(parts) or "nothing measured")])
    when: list[Any] = ["Evidence from ", moment(one.alert.state.started_s)] if is_firing(one) else ["Evidence by now"]
    return [html.H3(when), html.Div([figures, *rows], className="alert-facts")]


def past_list(past: Sequence[Past], snapshot: Snapshot) -> list[Component]:
    """Return the latest transitions of the chosen alert."""
    if not past:
        return []
    rows = [
        html.Div(
            [
                moment(one.transition.at_s),
                state_pill(one.transition.severity, one.transition.after),
                html.Span(visible(one.transition.reason), className="past-reason"),
            ],
            className="past-row",
        )
        for one in past
    ]
    return [html.H3("What happened"), html.Div(rows, className="past-list")]
