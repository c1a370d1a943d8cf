"""The skeleton of the page of a service: what is there before the first answer.

Built once; `answer.py` fills it. Without a chosen service only the list to choose from is shown.
"""

from __future__ import annotations

from typing import Final

import dash_mantine_components as dmc
from dash import html
from dash.development.base_component import Component

from dash_app.service import resource_figures
from dash_app.service.breakdowns import BREAKDOWNS, DEFAULT_BREAKDOWN
from dash_app.service.grid import breakdown_grid, instances_grid
from dash_app.shared import palette
from dash_app.shared.chart_card import chart_card
from dash_app.shared.comparing import compare_choice
from dash_app.shared.components import CsvButton, Lasting, attributes
from dash_app.shared.legend import legend

_SKELETON_CARDS: Final = 7
_RESOURCE_CARDS: Final = 4


def layout() -> Component:
    """Return the skeleton."""
    return html.Div(
        [
            html.Section(
                [html.H1("Choose a service"), Lasting("service-list", "problems")],
                id="service-choice",
                className="card choice",
                hidden=True,
            ),
            html.Div(
                [_head(), _kpis(), _charts(), _second_row(), _resources(), _table()], id="service", className="stack"
            ),
        ],
        className="stack",
    )


def _head() -> Component:
    return html.Div(
        [
            html.H1(html.Bdi(id="service-title")),
            html.Span(id="service-status"),
            html.Span(id="service-facts", className="facts"),
            Lasting("service-traces", ""),
            html.Div(className="space"),
            dmc.Select(
                id="service-name",
                data=[],
                searchable=True,
                placeholder="Another service…",
                size="xs",
                w=190,
                **attributes(aria_label="Show another service"),
            ),
            compare_choice("service-compare"),
        ],
        className="page-head",
    )


def _kpis() -> Component:
    skeletons = [html.Div(className="card kpi skeleton") for _ in range(_SKELETON_CARDS)]
    return Lasting("service-kpis", "kpis", skeletons, "Key figures")


def _charts() -> Component:
    percentiles = legend([("P50", palette.P50), ("P95", palette.P95), ("P99", palette.P99)])
    errors = legend([("4xx", palette.CLIENT_ERRORS), ("5xx", palette.SERVER_ERRORS)])
    return html.Section(
        [
            chart_card("service-throughput", "Throughput", "req/s by status", []),
            chart_card("service-latency", "Latency", "percentiles", percentiles),
            chart_card("service-errors", "Errors", "% of requests", errors),
        ],
        className="charts",
    )


def _second_row() -> Component:
    problems = html.Section(
        [
            html.Div([html.H2("Problems"), html.Small(id="service-problem-count")], className="card-head"),
            Lasting("service-problems", "problems"),
            html.Div([html.H2("Releases"), html.Small("first seen in this range")], className="card-head"),
            Lasting("service-releases", "problems"),
        ],
        className="card problems-card",
    )
    heat = chart_card("service-heatmap", "Latency heatmap", "calls by duration", [], is_tall=True)
    return html.Div([heat, problems], className="main")


def _resources() -> Component:
    """The service's containers and processes, on the same axis of time."""
    head = html.Div(
        [html.H2(["Resources", html.Small(id="service-resources-facts")]), CsvButton("service-instances")],
        className="section-head",
    )
    versus = legend([("throttled", resource_figures.THROTTLED), ("P99", resource_figures.P99)])
    skeletons = [html.Div(className="card kpi is-short skeleton") for _ in range(_RESOURCE_CARDS)]
    charts = [
        chart_card("service-efficiency", "Efficiency", "requests per CPU-second", []),
        chart_card("service-cpu", "CPU", "cores", []),
        chart_card("service-throttling", "Throttling", "% of periods", versus),
        chart_card("service-memory", "Memory", "in use", []),
    ]
    label = attributes(aria_label="Resources")
    found = [
        Lasting("service-resources-cards", "kpis is-four", skeletons),
        html.Div(charts, className="charts is-four"),
        html.Section(instances_grid(), className="card"),
    ]
    return html.Section(
        [
            head,
            html.Div(id="service-resources-none", className="card no-problems is-alone", hidden=True),
            html.Div(found, id="service-resources", className="stack", hidden=True),
        ],
        className="stack",
        **label,
    )


def _table() -> Component:
    head = html.Div(
        [
            dmc.SegmentedControl(
                id="service-by",
                data=[{"label": breakdown.title, "value": name} for name, breakdown in BREAKDOWNS.items()],
                value=DEFAULT_BREAKDOWN,
                size="xs",
                **attributes(aria_label="Break down by"),
            ),
            html.Small(id="service-table-note"),
            CsvButton("service-breakdown"),
        ],
        className="card-head table-head",
    )
    return html.Section([head, breakdown_grid()], className="card")
