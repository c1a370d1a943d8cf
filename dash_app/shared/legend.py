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


def legend(entries: Sequence[tuple[str, str]]) -> list[Component]:
    """Return swatches with names, from pairs of name and colour."""
    return [
        html.Span([html.I(style={"background": colour}), html.Span(name)], className="legend-entry", title=name)
        for name, colour in entries
    ]


def throughput_legend(ranked: Ranked) -> list[Component]:
    """Return the legend of the throughput chart: the busiest by name, how many more there are, all in the tooltip."""
    busiest = sorted(ranked.shown, key=lambda entry: -entry.series.total.calls)
    parts = legend([(entry.label, entry.colour) for entry in busiest[:_LEGEND_NAMES]])
    if (left := len(busiest) - _LEGEND_NAMES + len(ranked.others)) > 0:
        names = ", ".join(entry.label for entry in busiest[_LEGEND_NAMES:])
        title = f"{names}, and {formatting.plural(len(ranked.others), 'other')}" if ranked.others else names
        parts.append(html.Span(f"+{left}", className="legend-entry", title=title))
    return parts
