"""The list of problems: what is wrong with which service, with its evidence.

Pure, from an answer to components.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dash import html
from dash.development.base_component import Component

from dash_app.shared import formatting
from dash_app.shared.components import PageLink
from dash_app.shared.names import is_blank, visible
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


def problems_of_service(item: ServiceSummary, end_s: int) -> list[Component]:
    """Return the recognised problems of one service with their evidence, or that there are none."""
    if item.status is Status.NO_DATA:
        silence = f"No calls for {formatting.age(end_s - item.last_seen_s)}"
        return [_line(item.status, [html.Span("Silent")], silence)]
    if not item.problems:
        return [html.Div(html.B("No problems recognised", className="is-good"), className="no-problems")]
    return [
        _line(problem.status, [html.Span(_KIND_NAMES[problem.kind])], problem.evidence) for problem in item.problems
    ]


def service_link(item: ServiceSummary) -> Component:
    """Return a link to a service, with its status and its figures in words."""
    total = item.total
    figures = f"{formatting.rate(total.rate_per_s).text}, P95 {formatting.duration(total.p95_s).text}"
    return _entry(item, item.status, "", f"{figures}, {formatting.percent(total.error_rate).text} errors")


def problem_count(answer: ServicesAnswer, *, is_over: bool = False) -> str:
    """Return how many problems there are, and apart from them how many silent services, for the panel's head."""
    silent = len(_silent(answer))
    problems = count_words(sum(len(item.problems) for item in answer.items), is_over=is_over)
    return ", ".join(text for text in (problems, f"{silent} silent" * bool(silent)) if text)


def count_words(problems: int, *, is_over: bool) -> str:
    """Return how many problems there are and of when: of now, or of the end of a range that `is_over`."""
    when = "at the end of the range" if is_over else "now"
    return f"{problems} {when}" if problems else when * is_over


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
    """One entry of the panel, which leads to the page of its service."""
    name = html.Bdi(visible(item.service), className="is-blank" if is_blank(item.service) else "")
    parts = _parts(status, [name, html.Span(f" {what}")], evidence)
    return PageLink("/service", parts, "problem", {"name": item.service}, key=f"{item.service}\n{what}")


def _line(status: Status, title: Sequence[Component], evidence: str) -> Component:
    return html.Div(_parts(status, title, evidence), className="problem")


def _parts(status: Status, title: Sequence[Component], evidence: str) -> list[Component]:
    return [
        html.Span(STATUS_NAMES[status], className=f"pill is-{status.value}"),
        html.Div(
            [
                html.Div(list(title), className="problem-title"),
                html.Div(evidence, className="problem-evidence"),
            ]
        ),
    ]
