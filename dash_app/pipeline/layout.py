"""The skeleton of the page of the pipeline: what is there before the first answer.

Built once; `answer.py` fills it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dash import dcc, html
from dash.development.base_component import Component

from dash_app.pipeline import dead_letters, tables
from dash_app.shared import palette
from dash_app.shared.chart_card import chart_card
from dash_app.shared.components import CsvButton, Lasting, attributes
from dash_app.shared.legend import legend

CHARTS: Final = ("pipeline-rate", "pipeline-freshness", "pipeline-lag")
_SKELETON_CARDS: Final = 8


def layout(*, has_letters: bool = False) -> Component:
    """Return the skeleton."""
    skeletons = [html.Div(className="card kpi is-short skeleton") for _ in range(_SKELETON_CARDS)]
    return html.Div(
        [
            html.H1("Pipeline", className="only-read"),
            dcc.Store(id="pipeline-dead-action"),
            html.Div(Lasting("pipeline-notices", "pipeline-notices"), role="status", className="pipeline-said"),
            Lasting("pipeline-summary", "kpis", skeletons, "Summary"),
            html.Section(
                [
                    chart_card(
                        "pipeline-rate",
                        "Items",
                        "per second",
                        legend([("received", palette.P95), ("stored", palette.P50)]),
                    ),
                    chart_card(
                        "pipeline-freshness",
                        "Freshness",
                        "of the canary, last 5 minutes",
                        legend([("P50", palette.P50), ("P95", palette.P95), ("promised", palette.SERVER_ERRORS)]),
                    ),
                    chart_card("pipeline-lag", "Lag", "oldest batch in hand", []),
                ],
                className="charts",
            ),
            _card("Where everything went", "pipeline-since", "pipeline-flows", tables.FLOWS_COLUMNS),
            *([dead_letters.card()] if has_letters else []),
            _card("Processes", "pipeline-count", "pipeline-processes", tables.PROCESSES_COLUMNS),
            _card("Storage", "pipeline-storage-note", "pipeline-storage", tables.STORAGE_COLUMNS),
            _card("Too many series", "pipeline-overflow-count", "pipeline-overflows", tables.OVERFLOWS_COLUMNS),
        ],
        className="stack",
    )


def _card(title: str, note: str, body: str, columns: Sequence[str]) -> Component:
    head = html.Div([html.H2([title, html.Small(id=note)]), CsvButton(body, columns)], className="card-head table-head")
    return html.Section([head, _scrolling(title, Lasting(body, ""))], className="card")


def _scrolling(title: str, table: Component) -> Component:
    """What is wider than a phone can be moved by keyboard too."""
    return html.Div(table, className="pipeline-scroll", tabIndex="0", role="region", **attributes(aria_label=title))
