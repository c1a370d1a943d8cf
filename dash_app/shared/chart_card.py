"""A chart in its card: title, legend, and an empty chart that answers fill.

Part of the layouts of pages.
"""

from __future__ import annotations

from collections.abc import Sequence

from dash import html
from dash.development.base_component import Component

from dash_app.shared.components import Chart, CsvButton, Lasting, attributes


def chart_card(
    name: str, title: str, subtitle: str, legend: Sequence[Component], *, is_tall: bool = False
) -> Component:
    """Return the card of the chart with the id `name`; `-subtitle` and `-legend` after it are ids of the head."""
    return html.Div(
        [
            html.Div(
                [
                    html.H2([title, html.Small(subtitle, id=f"{name}-subtitle")]),
                    Lasting(f"{name}-legend", "legend", legend),
                    CsvButton(name),
                ],
                className="card-head",
            ),
            html.Div(
                Chart(name),
                className="chart is-tall" if is_tall else "chart",
                role="figure",
                **attributes(aria_label=f"{title}, {subtitle}"),
            ),
        ],
        className="card",
        title="Drag to choose a time, double-click to return",
    )
