"""What changes inside the page with every answer: cards and the list of problems, as components.

Pure; between the values of `kpis.py` and the answers, and `answer.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dash import html
from dash.development.base_component import Component

from dash_app.overview.kpis import Kpi
from dash_app.shared import formatting
from dash_app.shared.components import PageLink, Sparkline, attributes
from dash_app.shared.names import is_blank, visible
from dash_app.shell.view import View
from query import ProblemKind, ServicesAnswer, ServiceSummary, Status

_MOST_ENTRIES: Final = 30
_KIND_NAMES: Final = {
    ProblemKind.HIGH_LATENCY: "High latency",
    ProblemKind.HIGH_ERROR_RATE: "High error rate",
    ProblemKind.RESOURCE_BOTTLENECK: "Resource bottleneck",
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


def problem_list(answer: ServicesAnswer) -> list[Component]:
    """Return the recognised problems with their evidence, the worst services first, then who is silent.

    Without any problem there is the good news, of those services that are called.
    """
    entries = [
        _entry(item, problem.status, _KIND_NAMES[problem.kind].lower(), problem.evidence)
        for item in answer.items
        for problem in item.problems
    ]
    silent = _silent(answer)
    news = [] if entries or len(silent) == len(answer.items) else [_no_problems(len(answer.items), len(silent))]
    entries += [
        _entry(item, item.status, "", f"No calls for {formatting.age(answer.end_s - item.last_seen_s)}")
        for item in silent
    ]
    if left := len(entries[_MOST_ENTRIES:]):
        return [*news, *entries[:_MOST_ENTRIES], html.Div(f"and {left} more", className="more-problems")]
    return [*news, *entries]


def problem_count(answer: ServicesAnswer) -> str:
    """Return how many problems there are, and apart from them how many silent services, for the panel's head."""
    problems, silent = sum(len(item.problems) for item in answer.items), len(_silent(answer))
    return ", ".join(text for text in (f"{problems} now" * bool(problems), f"{silent} silent" * bool(silent)) if text)


def _silent(answer: ServicesAnswer) -> list[ServiceSummary]:
    return [item for item in answer.items if item.status is Status.NO_DATA]


def _no_problems(services: int, silent: int) -> Component:
    """The good news; without its mark where it does not hold for all."""
    watched = formatting.plural(services - silent, "service")
    return html.Div(
        [
            html.B("No problems recognised", className="" if silent else "is-good"),
            html.Div(f"{watched} watched for latency, errors and resources."),
        ],
        className="no-problems",
    )


def _entry(item: ServiceSummary, status: Status, what: str, evidence: str) -> Component:
    """One entry of the panel, which leads to the charts of its service."""
    name = html.Bdi(visible(item.service), className="is-blank" if is_blank(item.service) else "")
    return PageLink(
        "/",
        [
            html.Span(STATUS_NAMES[status], className=f"pill is-{status.value}"),
            html.Div(
                [
                    html.Div([name, html.Span(f" {what}")], className="problem-title"),
                    html.Div(evidence, className="problem-evidence"),
                ]
            ),
        ],
        "problem",
        {"service": item.service},
    )


def missing_service(answer: ServicesAnswer, view: View) -> str:
    """Return what to say of a chosen service that the range holds no call of; else nothing."""
    if view.service is None or any(item.service == view.service for item in answer.items):
        return ""
    place = f" in the environment {visible(view.environment)}" if view.environment is not None else ""
    return f"– it has no calls{place} in the last {view.range.words}."
