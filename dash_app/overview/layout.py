"""The skeleton of the overview: what is there before the first answer.

Built once; `answer.py` fills it.
"""

from __future__ import annotations

from typing import Final

import dash_mantine_components as dmc
from dash import html
from dash.development.base_component import Component

from dash_app.overview.grid import services_grid
from dash_app.shared import palette
from dash_app.shared.chart_card import chart_card
from dash_app.shared.comparing import compare_choice
from dash_app.shared.components import CsvButton, Lasting, attributes
from dash_app.shared.legend import legend

_SKELETON_CARDS: Final = 8


def layout() -> Component:
    """Return the skeleton."""
    title = html.H1("Overview", className="only-read")
    return html.Div([title, _kpis(), _charts(), _main()], className="stack")


def _kpis() -> Component:
    skeletons = [html.Div(className="card kpi skeleton") for _ in range(_SKELETON_CARDS)]
    return Lasting("kpis", "kpis", skeletons, "Key figures")


def _charts() -> Component:
    latency = legend([("P50", palette.P50), ("P95", palette.P95), ("P99", palette.P99)])
    errors = legend([("4xx", palette.CLIENT_ERRORS), ("5xx", palette.SERVER_ERRORS)])
    head = html.Div([html.H2("All services"), compare_choice("overview-compare")], className="section-head")
    return html.Section(
        [
            head,
            html.Div(
                [
                    chart_card("throughput", "Throughput", "req/s", []),
                    chart_card("latency", "Latency", "all requests", latency),
                    chart_card("errors", "Errors", "% of requests", errors),
                ],
                className="charts",
            ),
        ],
        className="stack",
    )


def _main() -> Component:
    return html.Div([_services(), _problems()], className="main")


def _services() -> Component:
    head = html.Div(
        [
            html.H2("Services"),
            dmc.TextInput(
                id="service-filter",
                placeholder="Filter services…",
                size="xs",
                debounce=150,
                **attributes(aria_label="Filter services by name or version"),
            ),
            dmc.SegmentedControl(
                id="health-filter",
                data=[{"label": "All", "value": "all"}, {"label": "Unhealthy", "value": "unhealthy"}],
                value="all",
                size="xs",
            ),
            CsvButton("services"),
        ],
        className="card-head services-head",
    )
    return html.Section([head, services_grid()], className="card")


def _problems() -> Component:
    head = html.Div([html.H2("Problems"), html.Small(id="problem-count")], className="card-head")
    return html.Section([head, Lasting("problems", "problems")], className="card problems-card")
