"""What changes inside the page with every answer: cards, legends, the list of problems, as components.

Pure; between the values of `kpis.py`, `ranking.py` and the answers, and `callbacks.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dash import html
from dash.development.base_component import Component

from dash_app import formatting
from dash_app.components import Sparkline, attributes
from dash_app.kpis import Kpi
from dash_app.ranking import Ranked
from query import Problem, ProblemKind, ServicesAnswer, ServiceSummary, Status

_MOST_PROBLEMS: Final = 30
_LEGEND_NAMES: Final = 3
_KIND_NAMES: Final = {
    ProblemKind.HIGH_LATENCY: "High latency",
    ProblemKind.HIGH_ERROR_RATE: "High error rate",
}
STATUS_NAMES: Final = {
    Status.CRITICAL: "Critical",
    Status.DEGRADED: "Degraded",
    Status.HEALTHY: "Healthy",
    Status.NO_DATA: "Silent",
}


def kpi_cards(kpis: Sequence[Kpi]) -> list[Component]:
    """Return the cards; each carries its name as `data-kpi`."""
    return [_kpi_card(kpi) for kpi in kpis]


def _kpi_card(kpi: Kpi) -> Component:
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
            title="" if kpi.name == "unhealthy" else "The later half of the range against the earlier half",
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


def problem_list(answer: ServicesAnswer) -> list[Component]:
    """Return the recognised problems with their evidence, the worst services first, or the good news."""
    found = [(item, problem) for item in answer.items for problem in item.problems]
    if not found:
        return [
            html.Div(
                [
                    html.B("No problems recognised"),
                    html.Div(f"{formatting.plural(len(answer.items), 'service')} watched for latency and errors."),
                ],
                className="no-problems",
            )
        ]
    shown = [_problem(item, problem) for item, problem in found[:_MOST_PROBLEMS]]
    if left := len(found) - len(shown):
        shown.append(html.Div(f"and {left} more", className="more-problems"))
    return shown


def problem_count(answer: ServicesAnswer) -> str:
    """Return how many problems there are, for the panel's head."""
    number = sum(len(item.problems) for item in answer.items)
    return f"{number} now" if number else ""


def _problem(item: ServiceSummary, problem: Problem) -> Component:
    return html.Div(
        [
            html.Span(STATUS_NAMES[problem.status], className=f"pill is-{problem.status.value}"),
            html.Div(
                [
                    html.Div(
                        [html.Bdi(item.service), html.Span(f" {_KIND_NAMES[problem.kind].lower()}")],
                        className="problem-title",
                    ),
                    html.Div(problem.evidence, className="problem-evidence"),
                ]
            ),
        ],
        className="problem",
    )
