"""Legends of charts: swatches with names.

Pure; used by the layouts, and by answers whose series come and go.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dash import html
from dash.development.base_component import Component

from dash_app.shared import formatting
from dash_app.shared.ranking import Ranked

_LEGEND_NAMES: Final = 3
_SHORT: Final = 12
"""Names of so many letters are never cut."""
_END: Final = 4
"""How many letters of a longer name are seen in any case at its end: names of a fleet often begin alike."""


def legend(entries: Sequence[tuple[str, str]]) -> list[Component]:
    """Return swatches with names, from pairs of name and colour."""
    return [
        html.Span(
            [html.I(style={"background": colour}), html.Span(_parts(name), className="legend-name")],
            className="legend-entry is-short" if len(name) <= _SHORT else "legend-entry",
            title=name,
        )
        for name, colour in entries
    ]


def _parts(name: str) -> list[Component]:
    """Return the beginning of a name, which is cut where there is no room, and its end."""
    if len(name) <= _SHORT or not name.isascii():  # other letters may belong together
        return [html.Span(name)]
    return [html.Span(name[:-_END]), html.Span(name[-_END:], className="legend-end")]


def throughput_legend(ranked: Ranked) -> list[Component]:
    """Return the legend of the throughput chart: the busiest by name, how many more there are, all in the tooltip."""
    busiest = sorted(ranked.shown, key=lambda entry: -entry.series.total.calls)
    is_all = len(busiest) <= _LEGEND_NAMES and not ranked.others
    named = _LEGEND_NAMES if is_all else _LEGEND_NAMES - 1  # the rest is counted in the place of the last
    parts = legend([(entry.label, entry.colour) for entry in busiest[:named]])
    if not is_all:
        left = len(busiest) - named + len(ranked.others)
        names = ", ".join(entry.label for entry in busiest[named:])
        title = f"{names}, and {formatting.plural(len(ranked.others), 'other')}" if ranked.others else names
        parts.append(html.Span(f"+{left}", className="legend-entry is-short", title=title))
    return parts
