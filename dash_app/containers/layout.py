"""The skeleton of the page of containers: what is there before the first answer.

Built once; `answer.py` fills it.
"""

from __future__ import annotations

from typing import Final

import dash_mantine_components as dmc
from dash import html
from dash.development.base_component import Component

from dash_app.containers.choice import GROUP_TITLES
from dash_app.containers.grid import containers_grid
from dash_app.shared.chart_card import chart_card
from dash_app.shared.components import CsvButton, Lasting, PageLink, attributes

_SKELETON_CARDS: Final = 6


def layout() -> Component:
    """Return the skeleton."""
    return html.Div([_summary(), _charts(), _table()], className="stack")


def _summary() -> Component:
    skeletons = [html.Div(className="card kpi is-short skeleton") for _ in range(_SKELETON_CARDS)]
    return Lasting("containers-summary", "kpis", skeletons, "Summary")


def _charts() -> Component:
    return html.Section(
        [
            html.Div(
                [
                    html.Span("Shown:"),
                    html.Bdi(id="containers-chosen-name"),
                    html.Span(id="containers-chosen-note"),
                    PageLink(
                        "/containers",
                        "Show all",
                        "link-button",
                        {"resource": None, "of": None, "only": None},
                    ),
                ],
                id="containers-chosen",
                className="chosen",
                hidden=True,
            ),
            html.Div(
                [
                    chart_card("containers-cpu", "CPU", "cores", []),
                    chart_card("containers-memory", "Memory", "in use", []),
                    chart_card("containers-throttling", "Throttling", "% of periods", []),
                ],
                className="charts",
            ),
        ]
    )


def _table() -> Component:
    groupings = [{"label": "Each", "value": "resource"}]
    groupings += [{"label": title, "value": name} for name, title in GROUP_TITLES.items()]
    head = html.Div(
        [
            html.H2(["Containers and processes", html.Small(id="containers-incomplete")]),
            dmc.TextInput(
                id="containers-filter",
                placeholder="Filter…",
                size="xs",
                debounce=250,
                **attributes(aria_label="Filter by name, service, image, project or host"),
            ),
            dmc.SegmentedControl(
                id="containers-by", data=groupings, value="resource", size="xs", **attributes(aria_label="Rows")
            ),
            CsvButton("containers-table"),
        ],
        className="card-head services-head containers-head",
    )
    return html.Section([head, containers_grid()], className="card")
