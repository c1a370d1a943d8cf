"""The page's skeleton: what is there before the first answer and never changes.

Built once by `component.py`; `callbacks.py` fills it. Which of loading, empty and filled is visible is a matter of one
class on `#page` (see `assets/layout.css`).
"""

from __future__ import annotations

from typing import Any

import dash_mantine_components as dmc
from dash import dcc, html
from dash.development.base_component import Component

from dash_app import cards, figures, palette
from dash_app.components import attributes
from dash_app.empty_state import never_any_data, nothing_in_view
from dash_app.grid import services_grid
from dash_app.settings import DashSettings
from dash_app.top_bar import top_bar
from dash_app.view import DEFAULT_RANGE, RANGES

_DARK_GREYS = (
    "#e6e9ef",
    "#c3c9d5",
    "#98a1b3",
    "#6b7385",
    "#2a3040",
    "#222733",
    "#171b24",
    "#12151c",
    "#0b0d12",
    "#07090d",
)
_SKELETON_CARDS = 6


def layout(settings: DashSettings) -> Component:
    """Return the whole page."""
    provider: Component = dmc.MantineProvider(
        id="theme",
        defaultColorScheme="auto",
        theme={
            "fontFamily": "Inter, system-ui, sans-serif",
            "primaryColor": "indigo",
            "defaultRadius": "md",
            "colors": {"dark": _DARK_GREYS},
        },
        children=html.Div([*_machinery(settings), top_bar(), _page(settings)]),
    )
    return provider


def _machinery(settings: DashSettings) -> list[Component]:
    """The parts that nobody sees: the pulse, the view, the question, and what came back."""
    return [
        dcc.Location(id="location", refresh=False),
        dcc.Interval(id="pulse", interval=round(1000 * settings.refresh_interval_s)),
        dcc.Store(
            id="constants",
            data={
                "ranges": list(RANGES),
                "defaultRange": DEFAULT_RANGE,
                "staleAfterS": settings.stale_after_s,
                "answerTimeoutS": settings.answer_timeout_s,
            },
        ),
        dcc.Store(id="view"),
        dcc.Store(id="chosen-service"),
        dcc.Store(id="question"),
        dcc.Store(id="receipt"),
        dcc.Store(id="is-reachable"),
        dcc.Store(id="figures"),
    ]


def _page(settings: DashSettings) -> Component:
    return html.Main(
        [
            html.Div(id="notice", className="notice", role="status"),
            never_any_data(settings),
            nothing_in_view(),
            html.Div([_kpis(), _charts(), _main()], className="content"),
            html.Footer([html.Span(id="time-zone"), html.Span("Cards and table: over the whole range")]),
        ],
        id="page",
        className="page is-loading",
    )


def _kpis() -> Component:
    skeletons = [html.Div(className="card kpi skeleton") for _ in range(_SKELETON_CARDS)]
    return html.Section(skeletons, id="kpis", className="kpis", **attributes(aria_label="Key figures"))


def _charts() -> Component:
    latency = cards.legend([("P50", palette.P50), ("P95", palette.P95), ("P99", palette.P99)])
    errors = cards.legend([("4xx", palette.CLIENT_ERRORS), ("5xx", palette.SERVER_ERRORS)])
    return html.Section(
        [
            html.Div(
                [
                    html.Span("Charts and cards show only"),
                    html.Bdi(id="chosen-name"),
                    html.Span(id="chosen-note", className="chosen-note"),
                    html.Button("Show all services", id="show-all", className="link-button"),
                ],
                id="chosen",
                className="chosen",
                hidden=True,
            ),
            html.Div(
                [
                    _chart("throughput", "Throughput", "req/s", []),
                    _chart("latency", "Latency", "all requests", latency),
                    _chart("errors", "Errors", "% of requests", errors),
                ],
                className="charts",
            ),
        ]
    )


def _chart(name: str, title: str, subtitle: str, legend: list[Component]) -> Component:
    return html.Div(
        [
            html.Div(
                [
                    html.H2([title, html.Small(subtitle, id=f"{name}-subtitle")]),
                    html.Div(legend, id=f"{name}-legend", className="legend"),
                ],
                className="card-head",
            ),
            html.Div(dcc.Graph(id=name, figure=_nothing(), config=figures.CONFIG, responsive=True), className="chart"),
        ],
        className="card",
        title="Drag to zoom, double-click to return",
    )


def _nothing() -> dict[str, Any]:
    hidden = {"visible": False}
    transparent = "rgba(0,0,0,0)"
    return {
        "data": [],
        "layout": {"xaxis": hidden, "yaxis": hidden, "paper_bgcolor": transparent, "plot_bgcolor": transparent},
    }


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
        ],
        className="card-head services-head",
    )
    return html.Section([head, services_grid()], className="card")


def _problems() -> Component:
    head = html.Div([html.H2("Problems"), html.Small(id="problem-count")], className="card-head")
    return html.Section([head, html.Div(id="problems", className="problems")], className="card problems-card")
