"""The list of settings that pass the filter.

Pure; a filter that nothing passes, and a process that nobody changed a setting of, are said in words.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Final

from dash import html
from dash.development.base_component import Component

from dash_app.configuration.known_setting import KnownSetting
from dash_app.shared import formatting
from dash_app.shared.components import attributes
from dash_app.shared.names import visible
from dash_app.shell.page import Answer

_PACE_S: Final = 30.0
_LONGEST_VALUE: Final = 200


def answer_of(settings: Sequence[KnownSetting], wanted: str, now_s: int, *, is_all: bool) -> Answer:
    """Return the page's list: of those that were changed, or of all, the ones whose words hold what is `wanted`."""
    shown = [one for one in settings if (is_all or one.is_changed) and _matches(one, wanted)]
    count = f"{formatting.count(len(shown))} of {formatting.count(len(settings))}; a change needs a restart"
    return Answer(
        {"settings-list": {"children": _list(shown, wanted)}, "settings-count": {"children": count}},
        end_s=now_s,
        pace_s=_PACE_S,
    )


def _matches(one: KnownSetting, wanted: str) -> bool:
    # Not by its value: a filter in an address must not tell what is set.
    text = f"{one.path} {one.variable} {one.description}".lower()
    return all(word in text for word in wanted.lower().split())


def _list(shown: Sequence[KnownSetting], wanted: str) -> Component:
    if not shown:
        words = "No setting matches." if wanted.strip() else "Nothing is set: every setting has its default."
        return html.Div(words, className="alerts-none")
    titles = ("Setting", "Value", "From", "Meaning")
    head = html.Thead(html.Tr([html.Th(title, scope="col") for title in titles]))
    bodies = [
        html.Tbody([_section(name), *map(_row, settings)])
        for name, settings in groupby(shown, key=lambda one: one.section)
    ]
    return html.Table([head, *bodies], className="pipeline-table settings-table")


def _section(name: str) -> Component:
    return html.Tr(html.Th(name or "General", colSpan=4, scope="rowgroup", className="settings-section"))


def _row(one: KnownSetting) -> Component:
    value = visible(_short(one.value)) if one.value else formatting.NOTHING
    default = f"default: {_short(one.default)}" if one.default and not one.is_secret else "default: not set"
    return html.Tr(
        [
            html.Th(one.variable, scope="row", className="mono settings-name"),
            html.Td(
                [html.Span(value), html.Small(visible(default))] if one.is_changed else value,
                className="mono settings-value",
            ),
            html.Td(one.source, className=f"pipeline-balance is-{'accent' if one.is_changed else 'muted'}"),
            html.Td(_with_code(one.description), className="settings-words"),
        ],
        **attributes(data_setting=one.path),
    )


def _with_code(text: str) -> list[Component | str]:
    """Return a description with what stands between backticks as code."""
    return [html.Code(part) if index % 2 else part for index, part in enumerate(text.split("`"))]


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"
