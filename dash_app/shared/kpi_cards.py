"""Key figures as components.

Pure; from the values of `kpis.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

from dash import html
from dash.development.base_component import Component

from dash_app.shared.components import Sparkline, attributes
from dash_app.shared.formatting import Figure
from dash_app.shared.kpis import Kpi


def kpi_cards(kpis: Sequence[Kpi], changes: str) -> list[Component]:
    """Return the cards; each carries its name as `data-kpi`. `changes` says what their changes compare."""
    return [_kpi_card(kpi, changes) for kpi in kpis]


def _kpi_card(kpi: Kpi, changes: str) -> Component:
    change = kpi.change
    parts = [
        html.Div(kpi.title, className="kpi-title"),
        html.Div(
            [
                html.Span(kpi.figure.number, className="kpi-number mono"),
                html.Span(kpi.figure.unit, className="kpi-unit"),
                html.Span(kpi.note, className="kpi-note"),
            ],
            className="kpi-figure",
        ),
        html.Div(
            change.text if change else "",
            className=f"kpi-change mono is-{change.tone if change else 'neutral'}",
            title="" if kpi.name == "unhealthy" else changes,
        ),
    ]
    if kpi.course:
        parts.append(html.Div(Sparkline(kpi.course, kpi.colour), className="kpi-course"))
    if kpi.shares:
        bars = [
            html.I(className=f"is-{status.value}", style={"flexGrow": number})
            for status, number in kpi.shares
            if number
        ]
        parts.append(html.Div(bars, className="kpi-shares"))
    return html.Div(parts, className="card kpi", title=kpi.explanation, **attributes(data_kpi=kpi.name))


def short_card(name: str, title: str, figure: Figure, note: str, explanation: str = "") -> Component:
    """Return a card without change and course; it carries its name as `data-kpi`."""
    return html.Div(
        [
            html.Div(title, className="kpi-title"),
            html.Div(
                [
                    html.Span(figure.number, className="kpi-number mono"),
                    html.Span(figure.unit, className="kpi-unit"),
                    html.Span(note, className="kpi-note"),
                ],
                className="kpi-figure",
            ),
        ],
        className="card kpi is-short",
        title=explanation or None,
        **attributes(data_kpi=name),
    )
