"""The skeleton of the page of alerts: what is there before the first answer, with all its forms.

Built once. Answers fill the lists only, so that what somebody is typing is never disturbed.
"""

from __future__ import annotations

from typing import Final

import dash_mantine_components as dmc
from dash import dcc, html
from dash.development.base_component import Component

from dash_app.alerts.channel_form import form
from dash_app.alerts.firing import OPEN_COLUMNS
from dash_app.alerts.form import editor
from dash_app.alerts.lists import CHANNEL_COLUMNS, HISTORY_COLUMNS, RULE_COLUMNS, SILENCE_COLUMNS, TOLD_COLUMNS
from dash_app.shared.components import CsvButton, Lasting, PageLink, attributes
from dash_app.shared.editing import FOR_EDITORS, editors_only, why_disabled

TABS: Final = {
    "firing": "Firing",
    "history": "History",
    "rules": "Rules",
    "silences": "Silences",
    "channels": "Channels",
}
DURATIONS: Final = {
    "15 minutes": 900,
    "1 hour": 3_600,
    "2 hours": 7_200,
    "4 hours": 14_400,
    "8 hours": 28_800,
    "1 day": 86_400,
    "3 days": 259_200,
    "1 week": 604_800,
}
STARTS: Final = {"now": 0, "in 15 minutes": 900, "in 1 hour": 3_600, "in 4 hours": 14_400, "in 12 hours": 43_200}
STORES: Final = (
    "alerts-action",
    "alerts-test",
    "alerts-channel",
    "alerts-channel-held",
    "alerts-wanted",
    "alerts-opened",
    "alerts-revision",
    "alerts-tested",
    "alerts-go",
)


def layout(*, can_make_channels: bool = True) -> Component:
    """Return the skeleton."""
    return html.Div(
        [
            *(dcc.Store(id=name) for name in STORES),
            html.Div(id="alerts-trust", className="alerts-trust", role="status"),
            html.Div(
                [
                    html.H1("Alerts", className="alerts-title"),
                    dmc.SegmentedControl(
                        id="alerts-tab",
                        data=[{"label": label, "value": name} for name, label in TABS.items()],
                        value="firing",
                        size="xs",
                        **attributes(aria_label="Part of the page"),
                    ),
                ],
                className="alerts-head",
            ),
            html.Div(id="alerts-outcome", className="alerts-outcome", role="status"),
            why_disabled(),
            html.Div(
                [_loading(), _firing(), _history(), _rules(), _silences(), _channels(can_make_channels)],
                className="stack",
            ),
        ],
        className="stack alerts",
    )


def _panel(name: str, *children: Component) -> Component:
    return html.Section(list(children), id=f"alerts-{name}", className="alerts-panel", hidden=True)


def _loading() -> Component:
    return html.Div("Loading alerts…", id="alerts-loading", className="card alerts-none")


def _card(title: str, count: str, *children: Component, saved: CsvButton | None = None) -> Component:
    head = html.Div(
        [html.H2([title, html.Small(id=count)]), *([] if saved is None else [saved])], className="card-head"
    )
    return html.Div([head, *children], className="card alerts-card")


def _firing() -> Component:
    return _panel(
        "firing",
        html.Div(
            [
                _card(
                    "Firing now",
                    "alerts-count",
                    Lasting("alerts-list", "alert-list"),
                    saved=CsvButton("alerts-list", OPEN_COLUMNS),
                ),
                html.Div(_detail(), id="alerts-detail", hidden=True),
            ],
            className="alerts-columns",
        ),
    )


def _detail() -> Component:
    return html.Div(
        [
            Lasting("alerts-detail-body", "alert-detail-body"),
            editors_only([_ack(), _silence_from_here()], id="alerts-detail-forms"),
        ],
        className="card alert-detail",
    )


def _ack() -> Component:
    return html.Fieldset(
        [
            html.Legend("Acknowledge"),
            dmc.TextInput(id="alerts-ack-by", label="Your name", size="xs", className="asks-name"),
            dmc.Textarea(
                id="alerts-ack-note",
                label="Note",
                placeholder="What is being done about it",
                size="xs",
                autosize=True,
                minRows=1,
                maxRows=5,
            ),
            html.Button("Acknowledge", id="alerts-ack", className="act", n_clicks=0),
        ],
        className="alert-form",
    )


def _silence_from_here() -> Component:
    return html.Fieldset(
        [
            html.Legend("Silence"),
            dmc.Select(
                id="alerts-quiet-what",
                label="What",
                data=[
                    {"value": "alert", "label": "This alert"},
                    {"value": "service", "label": "All alerts of this service"},
                    {"value": "rule", "label": "All alerts of this rule"},
                ],
                value="alert",
                size="xs",
                allowDeselect=False,
            ),
            _choice("alerts-quiet-for", "For", DURATIONS, "1 hour"),
            dmc.TextInput(id="alerts-quiet-why", label="Why", placeholder="Shown to everybody", size="xs"),
            html.Button("Silence", id="alerts-quiet", className="act", n_clicks=0),
        ],
        className="alert-form",
    )


def _choice(name: str, label: str, choices: dict[str, int], chosen: str) -> Component:
    data = [{"value": str(seconds), "label": text} for text, seconds in choices.items()]
    select: Component = dmc.Select(
        id=name, label=label, data=data, value=str(choices[chosen]), size="xs", allowDeselect=False
    )
    return select


def _history() -> Component:
    return _panel(
        "history",
        _card(
            "What happened",
            "alerts-history-note",
            Lasting("alerts-history-list", "alert-table"),
            Lasting("alerts-history-more", "alerts-more"),
            saved=CsvButton("alerts-history-list", HISTORY_COLUMNS),
        ),
    )


def _rules() -> Component:
    new = PageLink("/alerts", "New rule", f"act is-link {FOR_EDITORS}", {"tab": "rules", "rule": "_new"})
    saved = CsvButton("alerts-rules-list", RULE_COLUMNS)
    head = html.Div([html.H2(["Rules", html.Small(id="alerts-rules-count")]), saved, new], className="card-head")
    return _panel(
        "rules",
        editors_only(editor(), id="alerts-editor", hidden=True),
        html.Div([head, editors_only(Lasting("alerts-rules-list", "rule-list"))], className="card alerts-card"),
    )


def _silences() -> Component:
    form = editors_only(
        [
            html.Div(html.H2("New silence"), className="card-head"),
            html.Div(
                [
                    dmc.TextInput(
                        id="alerts-silence-labels",
                        label="Labels",
                        placeholder="service=churn-*",
                        description="That the rule groups by, or its scope names; * stands for anything",
                        size="xs",
                    ),
                    dmc.TextInput(
                        id="alerts-silence-rule", label="Rule", value="*", description="Its id; * for any", size="xs"
                    ),
                    dmc.Select(
                        id="alerts-silence-severity",
                        label="Severity",
                        data=["warning", "critical"],
                        placeholder="any",
                        description="Only of this one",
                        clearable=True,
                        size="xs",
                    ),
                    _choice("alerts-silence-starts", "Begins", STARTS, "now"),
                    _choice("alerts-silence-for", "Lasts", DURATIONS, "1 hour"),
                    dmc.TextInput(id="alerts-silence-why", label="Why", size="xs"),
                    dmc.TextInput(id="alerts-silence-by", label="Your name", size="xs", className="asks-name"),
                ],
                className="form-grid",
            ),
            html.Div(html.Button("Silence", id="alerts-silence", className="act", n_clicks=0), className="form-foot"),
        ],
        class_name="card alerts-card",
    )
    return _panel(
        "silences",
        _card(
            "Silences",
            "alerts-silences-count",
            editors_only(Lasting("alerts-silences-list", "alert-table")),
            saved=CsvButton("alerts-silences-list", SILENCE_COLUMNS),
        ),
        form,
    )


def _channels(can_make: bool) -> Component:
    return _panel(
        "channels",
        _card(
            "Channels",
            "alerts-channels-count",
            editors_only(Lasting("alerts-channels-list", "alert-table")),
            saved=CsvButton("alerts-channels-list", CHANNEL_COLUMNS),
        ),
        *([form()] if can_make else []),
        _card(
            "Notifications",
            "alerts-told-note",
            Lasting("alerts-told-list", "alert-table"),
            saved=CsvButton("alerts-told-list", TOLD_COLUMNS),
        ),
    )
