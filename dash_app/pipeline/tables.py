"""The tables of the pipeline: flows by signal, processes, services with too many series.

Pure, from an answer to components. Few rows, so that plain tables do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dash import html
from dash.development.base_component import Component

from dash_app.shared import formatting
from dash_app.shared.components import Moment, attributes, csv_row
from dash_app.shared.names import visible
from query.pipeline import PipelineAnswer, ProcessStatus, SignalFlow, TierUse

COUNTS: Final = {
    "received": "Received",
    "stored": "Stored",
    "duplicate": "Duplicate",
    "late": "Late",
    "invalid": "Invalid",
    "discarded": "Discarded",
    "rejected": "Rejected",
    "dead_lettered": "Dead letters",
    "in_flight": "In flight",
    "refused": "Refused for now",
}
FLOWS_COLUMNS: Final = ("signal", "balance", "unexplained", *COUNTS)
STORAGE_COLUMNS: Final = ("tier", "retention_s", "size_bytes")
PROCESSES_COLUMNS: Final = ("role", "state", "host", "pid", "version", "time", "age_s", "address")
OVERFLOWS_COLUMNS: Final = ("service", "kept", "estimate", "cause", "distinct")
_TIER_TITLES: Final = {
    "finest": "Figures, finest",
    "medium": "Figures, second tier",
    "coarse": "Figures, third tier",
    "traces": "Kept requests",
    "rest": "All else: series, alerts, free pages",
}
_NOTHING_NOTED: Final = "Nothing was noted then: ModelWatch did not run, or what it noted is gone (31 days are kept)."
_TONES: Final = {"well": "healthy", "failing": "critical", "silent": "degraded", "ended": "no_data"}


def flows(answer: PipelineAnswer) -> Component:
    """Return a row per signal; each cell carries its name as `data-flow`. Or that nothing is known of that time."""
    if not answer.flows:
        return html.Div(_NOTHING_NOTED, className="alerts-none")
    rows = [
        html.Tr(
            [
                html.Th(flow.signal, scope="row"),
                html.Td(balance_words(flow), className=f"pipeline-balance is-{balance_tone(flow)}"),
                *(
                    html.Td(
                        formatting.count(getattr(flow, name)),
                        className="mono",
                        **attributes(data_flow=f"{flow.signal}-{name}"),
                    )
                    for name in COUNTS
                ),
            ],
            key=flow.signal,
            **csv_row(flow.signal, flow.balance, flow.unexplained, *(getattr(flow, name) for name in COUNTS)),
        )
        for flow in answer.flows
    ]
    return _table(["Signal", "Balance", *COUNTS.values()], rows)


def balance_tone(flow: SignalFlow) -> str:
    """Return the tone of the balance."""
    return {"missing": "critical", "uncertain": "degraded"}.get(flow.balance, "healthy")


def balance_words(flow: SignalFlow) -> str:
    """Return whether it comes out even, and if not, by how much and why that may be."""
    number = formatting.count(abs(flow.unexplained))
    within = ""
    if flow.tolerance:
        within = f" to within {formatting.count(flow.tolerance)}, as reports are some seconds apart"
    match flow.balance:
        case "missing":
            return f"✗ {number} unexplained"
        case "uncertain":
            return f"? off by {number}: a process ended without its last report"
        case "surplus":
            return f"✓ {number} more stored than answered: their senders had gone, or they came past our receivers"
    return f"✓ comes out even{within}"


def processes(answer: PipelineAnswer) -> Component:
    """Return a row per process, those in trouble first."""
    return _table(
        ["Role", "State", "Host", "Process", "Version", "Started", "Last report", "Address"],
        [_process(one) for one in answer.processes],
    )


def _process(one: ProcessStatus) -> Component:
    report = one.report
    wrong = "; ".join(f"{name}: {message}" for name, message in report.failures.items() if message)
    return html.Tr(
        [
            html.Th(visible(report.role), scope="row"),
            html.Td(
                one.state, className=f"pipeline-balance is-{_TONES[one.state]}", title=visible(wrong) if wrong else None
            ),
            html.Td(visible(report.host)),
            html.Td(str(report.pid), className="mono"),
            html.Td(visible(report.version), className="mono"),
            html.Td(Moment(report.started_ms // 1000)),
            html.Td(f"{formatting.age(one.age_s)} ago", className="mono"),
            html.Td(visible(report.address) if report.address else formatting.NOTHING),
        ],
        key=report.process_id,
        **csv_row(
            *(report.role, one.state, report.host, report.pid, report.version),
            *(report.started_ms, round(one.age_s, 1), report.address),
        ),
        **attributes(data_process=report.role),
    )


def storage(answer: PipelineAnswer) -> list[Component]:
    """Return a row per tier of the history, and one for the rest of the database."""
    if not answer.tiers:
        return [html.Div("No processor runs, which would tell.", className="alerts-none")]
    sizes = [one.size_bytes for one in answer.tiers if one.size_bytes is not None]
    whole = answer.gauges.get("storage_database_bytes")
    rows = [_tier(one, whole) for one in answer.tiers]
    if whole is not None and sizes:
        rest = TierUse("rest", 0, max(int(whole) - sum(sizes), 0))
        rows.append(_tier(rest, whole))
    return [_table(["What", "Kept for", "Size", "Of the database"], rows)]


def _tier(one: TierUse, whole: float | None) -> Component:
    size, share = formatting.NOTHING, formatting.NOTHING
    if one.size_bytes is not None:
        size = formatting.size(one.size_bytes).text
        share = formatting.percent(min(one.size_bytes / whole, 1.0)).text if whole else formatting.NOTHING
    kept = formatting.length(one.retention_s) if one.retention_s else formatting.NOTHING
    cells = [html.Td(text, className="mono") for text in (kept, size, share)]
    return html.Tr(
        [html.Th(_TIER_TITLES[one.name], scope="row"), *cells],
        key=one.name,
        **csv_row(one.name, one.retention_s or None, one.size_bytes),
        **attributes(data_tier=one.name),
    )


def overflows(answer: PipelineAnswer) -> list[Component]:
    """Return a row per service over the limit, with the field to mend."""
    if not answer.overflows:
        return [html.Div("No service has more series than are kept apart.", className="alerts-none")]
    rows = [
        html.Tr(
            [
                html.Th(visible(one.service_name), scope="row"),
                html.Td(formatting.count(one.kept), className="mono"),
                html.Td(f"~{formatting.count(one.estimate)}", className="mono"),
                html.Td(f"{one.cause}: {formatting.count(one.distinct.get(one.cause, 0))} values"),
            ],
            key=one.service_name,
            **csv_row(one.service_name, one.kept, one.estimate, one.cause, one.distinct.get(one.cause, 0)),
        )
        for one in answer.overflows
    ]
    return [_table(["Service", "Kept apart", "Would be", "Because of"], rows)]


def _table(titles: Sequence[str], rows: Sequence[Component]) -> Component:
    head = html.Thead(html.Tr([html.Th(title, scope="col") for title in titles]))
    return html.Table([head, html.Tbody(list(rows))], className="pipeline-table")
