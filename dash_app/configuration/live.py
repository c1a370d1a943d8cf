"""The settings that may be changed while ModelWatch runs, each with its editor, and the list of who changed what.

Pure, from what the desk says to components.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any, Final

from dash import html
from dash.development.base_component import Component

from dash_app.configuration.values import text_of, units_of
from dash_app.configuration.words import with_code
from dash_app.shared.components import ActionButton, Moment, ValueEditor, attributes, csv_row
from dash_app.shared.names import visible
from tuning.desk import SettingChange, TunedSetting, value_of

STORE: Final = "settings-action"
_PARTS: Final = {
    "log": "Log",
    "processor": "How many series are kept apart",
    "processor.traces": "Requests kept for traces",
    "storage": "What is kept, and for how long",
    "query": "How services are judged",
    "query.resources": "How containers and processes are judged",
    "alerts": "Alerts and notifications",
    "dash": "Pages",
    "self_watch": "The canary",
}
_SURE: Final = "Sure?"
CHANGES_COLUMNS: Final = ("time", "setting", "before", "value", "by")


def live_list(settings: Sequence[TunedSetting]) -> list[Component]:
    """Return a group of rows for each part of ModelWatch."""
    parts = groupby(settings, key=lambda one: one.tunable.name.rpartition(".")[0])
    return [
        html.Div(
            [html.H3(_PARTS.get(part, part), className="settings-part"), *map(_row, members)],
            key=part,
            className="settings-group",
        )
        for part, members in parts
    ]


def _row(one: TunedSetting) -> Component:
    name = one.tunable.name
    leaf = html.Span(name.rpartition(".")[2], className="mono settings-name", title=one.tunable.variable)
    words = [leaf, html.Div(with_code(one.description))]
    if one.tunable.warning:
        words.append(html.Div(one.tunable.warning, className="settings-warning"))
    if one.failure:
        words.append(html.Div(f"Does not hold here: {visible(one.failure)}", className="settings-failure"))
    return html.Div(
        [
            html.Div(
                words,
                className="settings-words",
            ),
            html.Div([_editor(one), html.Small(_origin(one), className="settings-origin")], className="settings-edit"),
        ],
        key=name,
        className="settings-live is-changed" if one.is_changed else "settings-live",
        **attributes(data_setting=name),
    )


def _editor(one: TunedSetting) -> Component:
    name, schema = one.tunable.name, one.schema
    choices = ["on", "off"] if schema.get("type") == "boolean" else schema.get("enum")
    version = one.change.change_id if one.change else 0
    action = {"do": "change", "name": name}
    if not one.tunable.is_deleting:
        return ValueEditor(STORE, action, text_of(name, one.value), name, version, choices)
    return ValueEditor(
        STORE,
        action,
        text_of(name, one.value),
        name,
        version,
        confirm=_deleting_words(one, "{}"),
        asks_below=one.value,
        units=units_of(name),
    )


def _deleting_words(one: TunedSetting, value: str) -> str:
    """Return the question before what a lower value deletes, with how much that is."""
    now = text_of(one.tunable.name, one.value)
    what = "the oldest beyond" if one.tunable.name.endswith("_bytes") else "what is older than"
    return f"Sure? Deletes {what} {value}, of {now}"


def _origin(one: TunedSetting) -> list[Any]:
    start = text_of(one.tunable.name, one.start_value)
    if not one.is_changed or one.change is None:
        return ["as started"]
    reset = ActionButton(
        STORE,
        {"do": "reset", "name": one.tunable.name},
        "Reset",
        "link-button",
        label=f"Reset {one.tunable.name} to {start}",
        confirm=_deleting_words(one, start) if one.tunable.is_deleting and one.start_value < one.value else _SURE,
    )
    by = f" by {visible(one.change.changed_by)} " if one.change.changed_by else " "
    return [f"started with {start}; changed", by, Moment(one.change.changed_ms // 1000), " ", reset]


def change_list(changes: Sequence[SettingChange]) -> list[Component]:
    """Return the latest changes, or that there was none."""
    if not changes:
        return [html.Div("Nothing was changed while running.", className="alerts-none")]
    titles = ("When", "Setting", "From", "To", "By")
    head = html.Thead(html.Tr([html.Th(title, scope="col") for title in titles]))
    return [html.Table([head, html.Tbody(list(map(_change, changes)))], className="pipeline-table")]


def _change(one: SettingChange) -> Component:
    before = text_of(one.name, value_of(one.before))
    value = "as started" if one.value is None else text_of(one.name, value_of(one.value))
    return html.Tr(
        [
            html.Td(Moment(one.changed_ms // 1000)),
            html.Th(visible(one.name), scope="row", className="mono settings-name"),
            html.Td(visible(before), className="mono"),
            html.Td(visible(value), className="mono"),
            html.Td(visible(one.changed_by) if one.changed_by else "", className="settings-by"),
        ],
        key=str(one.change_id),
        **csv_row(one.changed_ms, one.name, value_of(one.before), value_of(one.value), one.changed_by),
    )
