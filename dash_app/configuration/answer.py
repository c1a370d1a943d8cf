"""The answer that fills the page: what may be changed, who changed what, and the list of all that pass the filter.

Pure; a filter that nothing passes, and a process that nobody changed a setting of, are said in words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from dash import html
from dash.development.base_component import Component

from dash_app.configuration.known_setting import KnownSetting
from dash_app.configuration.live import change_list, live_list
from dash_app.configuration.values import text_of
from dash_app.configuration.words import with_code
from dash_app.shared import formatting
from dash_app.shared.components import attributes, csv_row
from dash_app.shared.names import visible
from dash_app.shell.page import Answer
from tuning.desk import SettingChange, TunedSetting

SETTING_COLUMNS: Final = ("setting", "value", "default", "from", "meaning")
_PACE_S: Final = 2.0
_WITHOUT_DATABASE: Final = frozenset({"receiver", "rabbit_exporter", "containers", "exporter"})
_ELSEWHERE: Final = (
    " shown as this process was given it; where it is another process that has no database, that one has its own, "
    "and takes up a change at its restart alone"
)
_LONGEST_VALUE: Final = 200


@dataclass(frozen=True, slots=True)
class Standing:
    """How everything is set: at the start, while running, and the latest changes, if those can be read."""

    settings: Sequence[KnownSetting]
    live: Sequence[TunedSetting] = ()
    changes: Sequence[SettingChange] | None = ()


def answer_of(standing: Standing, wanted: str, now_s: int, *, is_all: bool) -> Answer:
    """Return what is changed, and of the others, or of all, those whose words hold what is `wanted`."""
    settings = standing.settings
    changed = {one.tunable.name: one for one in standing.live if one.is_changed}
    shown = [one for one in settings if (is_all or one.is_changed or one.path in changed) and _matches(one, wanted)]
    count = f"{formatting.count(len(shown))} of {formatting.count(len(settings))}; a change needs a restart"
    return Answer(
        {
            "settings-list": {"content": [_list(shown, wanted, changed)]},
            "settings-count": {"children": count},
            "settings-live": {"content": live_list(standing.live)},
            "settings-live-count": {"children": _live_count(len(changed), len(standing.live))},
            "settings-changes": {"content": _changes(standing.changes)},
        },
        end_s=now_s,
        pace_s=_PACE_S,
        is_of_now=True,
    )


def _live_count(changed: int, all_of_them: int) -> str:
    return f"{formatting.count(changed)} of {formatting.count(all_of_them)} changed" if all_of_them else ""


def _changes(changes: Sequence[SettingChange] | None) -> list[Component]:
    if changes is None:
        return [html.Div("The database does not answer: who changed what cannot be told now.", className="alerts-none")]
    return change_list(changes)


def _matches(one: KnownSetting, wanted: str) -> bool:
    # Not by its value: a filter in an address must not tell what is set.
    text = f"{one.path} {one.variable} {one.description}".lower()
    return all(word in text for word in wanted.lower().split())


def _list(shown: Sequence[KnownSetting], wanted: str, changed: Mapping[str, TunedSetting]) -> Component:
    if not shown:
        words = "No setting matches." if wanted.strip() else "Nothing is set: every setting has its default."
        return html.Div(words, className="alerts-none")
    titles = ("Setting", "Value", "From", "Meaning")
    head = html.Thead(html.Tr([html.Th(title, scope="col") for title in titles]))
    bodies = [
        html.Tbody([_section(name), *(_row(one, changed.get(one.path)) for one in settings)], key=name or "general")
        for name, settings in groupby(shown, key=lambda one: one.section)
    ]
    return html.Table([head, *bodies], className="pipeline-table settings-table")


def _section(name: str) -> Component:
    note = _ELSEWHERE if name.partition(".")[0] in _WITHOUT_DATABASE else ""
    words: list[str | Component] = [name or "General"]
    if note:
        words.append(html.Small(note))
    return html.Tr(html.Th(words, colSpan=4, scope="rowgroup", className="settings-section"))


def _row(one: KnownSetting, changed: TunedSetting | None) -> Component:
    value = visible(_short(one.value)) if one.value else formatting.NOTHING
    default = f"default: {_short(one.default)}" if one.default and not one.is_secret else "default: not set"
    notes = [visible(default)] if one.is_changed else []
    if changed is not None:
        notes.append(f"now {visible(text_of(one.path, changed.value))}, changed while running")
    return html.Tr(
        [
            html.Th(one.variable, scope="row", className="mono settings-name"),
            html.Td([html.Span(value), *map(html.Small, notes)], className="mono settings-value"),
            html.Td(one.source, className=f"pipeline-balance is-{'accent' if one.is_changed else 'muted'}"),
            html.Td(with_code(one.description), className="settings-words"),
        ],
        key=one.path,
        **attributes(data_setting=one.path),
        **csv_row(one.variable, one.value, one.default if not one.is_secret else "", one.source, one.description),
    )


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"
