"""The skeleton of the page of traces: the list with its filters, and the place of one trace.

Built once; `answer.py` fills it.
"""

from __future__ import annotations

import dash_mantine_components as dmc
from dash import html
from dash.development.base_component import Component

from dash_app.shared.chart_card import chart_card
from dash_app.shared.components import CsvButton, Lasting, PageLink, attributes
from dash_app.traces.choice import KINDS
from dash_app.traces.lists import ROW_COLUMNS


def layout() -> Component:
    """Return the skeleton."""
    return html.Div([_list(), _one()], className="stack traces")


def _list() -> Component:
    return html.Section(
        [
            chart_card("traces-spread", "Requests", "those listed below", []),
            html.Div(
                [
                    html.Div(
                        [
                            html.H2(["Requests", html.Small(id="traces-kept", role="status")]),
                            _text("traces-service", "Service"),
                            _text("traces-route", "Route"),
                            _text("traces-min", "At least, s"),
                            _text("traces-max", "Below, s"),
                            _choice("traces-kind", "What", [(name, title) for name, (title, _) in KINDS.items()]),
                            _choice("traces-show", "Outcome", [("all", "All"), ("errors", "Errors")]),
                            _choice("traces-sort", "Order", [("time", "Latest"), ("duration", "Longest")]),
                            CsvButton("traces-rows", ROW_COLUMNS),
                        ],
                        className="card-head services-head traces-head",
                    ),
                    Lasting("traces-filters", "trace-filters"),
                    Lasting("traces-rows", ""),
                    Lasting("traces-more", "alerts-more"),
                ],
                className="card",
            ),
        ],
        id="traces-found",
        className="stack",
    )


def _one() -> Component:
    everything = {"trace": None, "span": None}
    return html.Section(
        [
            html.Div(PageLink("/traces", "← All requests", "link-button", everything), className="trace-back"),
            html.Div(
                [
                    Lasting("traces-head", "card-head trace-head"),
                    Lasting("traces-gaps", ""),
                    Lasting("traces-spans", "span-list"),
                ],
                className="card",
            ),
        ],
        id="traces-one",
        hidden=True,
    )


def _text(name: str, label: str) -> Component:
    box: Component = dmc.TextInput(
        id=name, className="trace-filter", placeholder=label, size="xs", debounce=250, **attributes(aria_label=label)
    )
    return box


def _choice(name: str, label: str, choices: list[tuple[str, str]]) -> Component:
    data = [{"value": value, "label": title} for value, title in choices]
    control: Component = dmc.SegmentedControl(
        id=name, data=data, value=choices[0][0], size="xs", **attributes(aria_label=label)
    )
    return control
