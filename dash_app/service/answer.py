"""The answer that fills the page of a service: one snapshot, drawn.

Asked for by the shell once a beat.
"""

from __future__ import annotations

from dataclasses import replace

from dash import html
from dash.development.base_component import Component

from dash_app.service import figures, resource_card
from dash_app.service.breakdowns import BREAKDOWNS
from dash_app.service.releases import Release
from dash_app.service.rows import rows_of
from dash_app.service.snapshot import Details, Snapshot
from dash_app.shared import comparing, formatting, kpis, red_charts
from dash_app.shared.charts import Figure
from dash_app.shared.components import Moment, PageLink
from dash_app.shared.kpi_cards import kpi_cards
from dash_app.shared.kpis import Measured
from dash_app.shared.legend import throughput_legend
from dash_app.shared.names import is_blank, visible
from dash_app.shared.problems import STATUS_NAMES, count_words, problems_of_service, service_link
from dash_app.shell.page import Answer, Filling
from dash_app.shell.view import search_of, why_empty
from query import ServiceSummary


def answer_of(snapshot: Snapshot) -> Answer:
    """Return everything on the page, the list to choose from, or the reason why it is empty."""
    asked, details, newest_s = snapshot.asked, snapshot.details, snapshot.newest_s
    if asked.name is not None and details is None:
        return Answer({}, {}, snapshot.end_s, newest_s, _why_empty(snapshot))
    names = [item.service for item in snapshot.services.items]
    filling: dict[str, dict[str, object]] = {
        "service-choice": {"hidden": details is not None},
        "service": {"hidden": details is None},
        "service-list": {"content": [service_link(item) for item in snapshot.services.items]},
        "service-name": {"data": [{"value": name, "label": visible(name)} for name in names if name]},
    }
    if details is None:
        why_empty = None if names else _why_empty(snapshot)
        return Answer(filling, {}, snapshot.end_s, newest_s, why_empty)
    return Answer(
        {**filling, **_filling(snapshot, details)},
        _figures(snapshot, details),
        snapshot.end_s,
        newest_s,
    )


def _filling(snapshot: Snapshot, details: Details) -> Filling:
    summary, shown = details.summary, snapshot.bounds.range
    measured = Measured(summary.total, details.pair, details.overall, shown.words, shown.short)
    breakdown = BREAKDOWNS[snapshot.asked.breakdown]
    cards = (
        kpis.request_rate(measured),
        kpis.latency(measured, "P50"),
        kpis.latency(measured, "P95"),
        kpis.latency(measured, "P99"),
        kpis.apdex(measured),
        kpis.error_rate(measured),
        kpis.client_errors(measured),
    )
    return {
        "service-title": {"children": visible(summary.service), "className": _blank(summary.service)},
        "service-status": {"children": STATUS_NAMES[summary.status], "className": f"pill is-{summary.status.value}"},
        "service-facts": {"children": _facts(summary)},
        "service-traces": {
            "content": [PageLink("/traces", "Single requests", "link-button", {"name": summary.service})]
        },
        "service-kpis": {"content": kpi_cards(cards, comparing.pair_words(snapshot.asked.compared))},
        "service-throughput-legend": {"content": throughput_legend(figures.by_status(details.by_status))},
        "service-problems": {"content": problems_of_service(summary, snapshot.end_s)},
        "service-problem-count": {"children": count_words(len(summary.problems), is_over=snapshot.is_over)},
        "service-releases": {"content": _releases(details.releases)},
        "service-breakdown": {"rowData": rows_of(breakdown, details.totals, details.breakdown, summary.service)},
        "service-table-note": {"children": "" if details.totals.items else breakdown.why_empty},
        "service-latency-subtitle": {
            "children": comparing.words_of("percentiles", details.before, snapshot.asked.compared)
        },
        **_resources(snapshot, details),
    }


def _resources(snapshot: Snapshot, details: Details) -> Filling:
    view = snapshot.asked.view
    filling = resource_card.filling_of(details.resources, view.range.words, view.range.end_s is None)
    if not (view.where.model_name or view.where.service_version):
        return filling
    facts = filling["service-resources-facts"]["children"]
    words = " · ".join(filter(None, [facts, "of the whole service, whatever the model and version"]))
    return {**filling, "service-resources-facts": {"children": words}}


def _figures(snapshot: Snapshot, details: Details) -> dict[str, Figure]:
    revision = search_of(snapshot.asked.view) + snapshot.asked.compared + (snapshot.asked.name or "")
    now, before = details.overall, (details.overall, details.before, snapshot.asked.compared)
    drawn = {
        "service-throughput": comparing.with_throughput(figures.throughput(details.by_status, revision), *before),
        "service-latency": comparing.with_latency(red_charts.latency(now, revision), *before),
        "service-errors": comparing.with_errors(red_charts.errors(now, revision), *before),
        "service-heatmap": figures.heatmap(details.latency, revision),
    }
    # The charts of resources have the axis of the others: one glance goes from the top to the bottom.
    axis = drawn["service-throughput"]["layout"]["xaxis"]["range"]
    drawn |= resource_card.charts_of(details.resources, axis, revision)
    return {name: figures.with_releases(figure, details.releases) for name, figure in drawn.items()}


def _blank(name: str) -> str:
    return "is-blank" if is_blank(name) else ""


def _facts(summary: ServiceSummary) -> str:
    """Return versions, environments and instances in one line."""
    parts = [formatting.plural(summary.instance_count, "instance")]
    for title, values in (("version", summary.versions), ("environment", summary.environments)):
        if named := [visible(value) for value in values if value]:
            parts.append(f"{title}{'s' if len(named) > 1 else ''} {', '.join(named[:5])}{' …' if named[5:] else ''}")
    return " · ".join(parts)


def _releases(found: tuple[Release, ...]) -> list[Component]:
    if not found:
        return [html.Div("No new version", className="no-problems")]
    return [
        html.Div([html.Bdi(visible(release.version)), Moment(release.time_s)], className="release")
        for release in reversed(found)
    ]


def _why_empty(snapshot: Snapshot) -> str:
    """Nothing to say when nothing was ever seen: then the shell explains how to send data."""
    if snapshot.newest_s is None:
        return ""
    view = snapshot.asked.view
    return why_empty("No calls", view, replace(view.where, service_name=snapshot.asked.name))
