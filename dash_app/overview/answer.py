"""The answer that fills the overview: one snapshot, drawn.

Asked for by the shell once a beat.
"""

from __future__ import annotations

from dash_app.overview import cards
from dash_app.overview.kpis import kpis_of
from dash_app.overview.rows import rows_of
from dash_app.overview.snapshot import Snapshot
from dash_app.shared import red_charts
from dash_app.shared.legend import throughput_legend
from dash_app.shared.names import is_blank, visible
from dash_app.shared.ranking import ranked_by
from dash_app.shell.page import Answer, Filling
from dash_app.shell.view import search_of


def answer_of(snapshot: Snapshot) -> Answer:
    """Return everything on the page, or the reason why it is empty."""
    environment = snapshot.view.environment
    environments = {*snapshot.environments, *([environment] if environment else [])}
    if snapshot.is_empty:
        return Answer({}, {}, snapshot.end_s, snapshot.newest_s, sorted(environments), _why_empty(snapshot))
    if snapshot.by_route is not None:
        charted, ranked = snapshot.by_route, ranked_by(snapshot.by_route, "route")
    else:
        charted, ranked = snapshot.by_service, ranked_by(snapshot.by_service, "service")
    revision = search_of(snapshot.view) or "default"
    return Answer(
        filling={
            "kpis": {"children": cards.kpi_cards(kpis_of(snapshot))},
            "throughput-legend": {"children": throughput_legend(ranked)},
            "services": {"rowData": rows_of(snapshot)},
            "problems": {"children": cards.problem_list(snapshot.services)},
            "problem-count": {"children": cards.problem_count(snapshot.services)},
            **_chosen(snapshot),
        },
        figures={
            "throughput": red_charts.throughput(charted, ranked, revision),
            "latency": red_charts.latency(snapshot.overall, revision),
            "errors": red_charts.errors(snapshot.overall, revision),
        },
        end_s=snapshot.end_s,
        newest_s=snapshot.newest_s,
        environments=sorted(environments),
    )


def _chosen(snapshot: Snapshot) -> Filling:
    """What names the one service that is shown, if it is one."""
    service = snapshot.view.service
    return {
        "chosen": {"hidden": service is None},
        "chosen-name": {
            "children": visible(service) if service is not None else "",
            "className": "is-blank" if service is not None and is_blank(service) else "",
        },
        "chosen-note": {"children": cards.missing_service(snapshot.services, snapshot.view)},
        "latency-subtitle": {"children": "all requests" if service is None else "requests of this service"},
    }


def _why_empty(snapshot: Snapshot) -> str:
    """Nothing to say when nothing was ever seen: then the shell explains how to send data."""
    if snapshot.newest_s is None:
        return ""
    place = f" in the environment {snapshot.view.environment}" if snapshot.view.environment is not None else ""
    return f"No calls{place} in the last {snapshot.view.range.words}. Choose a longer range."
