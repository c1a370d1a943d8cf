"""The answer that fills the overview: one snapshot, drawn.

Asked for by the shell once a beat.
"""

from __future__ import annotations

from dash_app.overview.kpis import kpis_of
from dash_app.overview.rows import rows_of
from dash_app.overview.snapshot import Snapshot
from dash_app.shared import comparing, red_charts
from dash_app.shared.kpi_cards import kpi_cards
from dash_app.shared.legend import throughput_legend
from dash_app.shared.problems import problem_count, problem_list
from dash_app.shared.ranking import ranked_by
from dash_app.shell.page import Answer
from dash_app.shell.view import search_of, why_empty


def answer_of(snapshot: Snapshot) -> Answer:
    """Return everything on the page, or the reason why it is empty."""
    if snapshot.is_empty:
        return Answer({}, {}, snapshot.end_s, snapshot.newest_s, _why_empty(snapshot))
    ranked = ranked_by(snapshot.by_service, "service")
    revision = search_of(snapshot.view) + snapshot.compared or "default"
    throughput = red_charts.throughput(snapshot.by_service, ranked, revision)
    before = (snapshot.overall, snapshot.before, snapshot.compared)
    latency_words = comparing.words_of("all requests", snapshot.before, snapshot.compared)
    return Answer(
        filling={
            "kpis": {"content": kpi_cards(kpis_of(snapshot), comparing.pair_words(snapshot.compared))},
            "throughput-legend": {"content": throughput_legend(ranked)},
            "latency-subtitle": {"children": latency_words},
            "services": {"rowData": rows_of(snapshot)},
            "problems": {"content": problem_list(snapshot.services)},
            "problem-count": {"children": problem_count(snapshot.services, is_over=snapshot.is_over)},
        },
        figures={
            "throughput": comparing.with_throughput(throughput, *before),
            "latency": comparing.with_latency(red_charts.latency(snapshot.overall, revision), *before),
            "errors": comparing.with_errors(red_charts.errors(snapshot.overall, revision), *before),
        },
        end_s=snapshot.end_s,
        newest_s=snapshot.newest_s,
    )


def _why_empty(snapshot: Snapshot) -> str:
    """Nothing to say when nothing was ever seen: then the shell explains how to send data."""
    if snapshot.newest_s is None:
        return ""
    return why_empty("No calls", snapshot.view)
