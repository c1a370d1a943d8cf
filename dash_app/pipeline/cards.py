"""What is said above the charts: the figures as of now, and in words what is amiss and what to do.

Pure, from an answer to components.
"""

from __future__ import annotations

from dash import html
from dash.development.base_component import Component

from dash_app.pipeline.figures import PROMISED_S
from dash_app.shared import formatting
from dash_app.shared.formatting import NOTHING, Figure
from dash_app.shared.kpi_cards import short_card
from dash_app.shared.names import visible
from query.pipeline import PipelineAnswer


def summary(answer: PipelineAnswer) -> list[Component]:
    """Return the cards; each carries its name as `data-kpi`."""
    held = answer.gauges
    fresh = f"P50 {formatting.duration(held.get('canary_p50_s')).text}"
    if "canary_p95_s" not in held:
        fresh = "no canary"
    return [
        short_card("freshness", "Freshness P95", formatting.duration(held.get("canary_p95_s")), fresh),
        short_card(
            "freshness-last",
            "Freshness, last",
            formatting.duration(held.get("canary_last_s") or None),
            f"{formatting.count(answer.canary_lost)} lost",
        ),
        short_card("lag", "Lag", formatting.duration(held.get("processor_lag_s")), "oldest in hand"),
        short_card("queue", "Queue", _whole(held.get("rabbit_queue_batches")), _queue_note(answer)),
        short_card("dead", "Dead letters", _whole(held.get("rabbit_dead_letters")), _dead_note(answer)),
        short_card(
            "series", "Series", _whole(held.get("processor_series")), _limit(held.get("processor_series_limit"))
        ),
        short_card(
            "metric-series",
            "Series of metrics",
            _whole(held.get("processor_metric_series")),
            _limit(held.get("processor_metric_series_limit")),
        ),
        short_card("storage", "Storage", formatting.size(held.get("storage_database_bytes")), _disk_note(answer)),
    ]


def notices(answer: PipelineAnswer) -> list[Component]:
    """Return a sentence for each thing that is amiss, with what to do; nothing where all is well."""
    held, said = answer.gauges, []
    missing = [flow for flow in answer.flows if flow.balance == "missing"]
    said += [
        f"{formatting.count(flow.unexplained)} {flow.signal} were taken and not stored: look at the processors' logs."
        for flow in missing
    ]
    for one in answer.processes:
        if one.state == "silent":
            said.append(
                f"The {visible(one.report.role)} on {visible(one.report.host)} (process {one.report.pid}) has not "
                f"reported for {formatting.age(one.age_s)}: see whether it runs, and whether its address answers."
            )
        if one.state == "failing":
            wrong = "; ".join(f"{name}: {message}" for name, message in one.report.failures.items() if message)
            said.append(f"The {visible(one.report.role)} on {visible(one.report.host)} is not well: {visible(wrong)}")
    if any(flow.in_flight for flow in answer.flows) and not _is_stored_by_anybody(answer):
        said.append("No processor runs: what is received waits in RabbitMQ. Start modelwatch processor.")
    if (held.get("canary_p95_s") or 0) > PROMISED_S:
        said.append(
            f"Figures are {formatting.duration(held['canary_p95_s']).text} behind at P95, more than {PROMISED_S:g} s."
        )
    if held.get("rabbit_dead_letters"):
        said.append(
            "Dead letters wait: look at them below, or with modelwatch deadletters; sent again, each still counts once."
        )
    if held.get("spill_batches"):
        said.append(f"{formatting.count(int(held['spill_batches']))} batches wait on a receiver's disk for RabbitMQ.")
    free, least = held.get("storage_free_bytes"), held.get("storage_warn_free_bytes")
    if free is not None and least is not None and free < least:
        said.append(
            f"The disk of the database has {formatting.size(free).text} left: below "
            f"{formatting.size(held.get('storage_min_free_bytes')).text} the oldest figures are deleted."
        )
    return [html.Div(text, className="alerts-trust") for text in said]


def _is_stored_by_anybody(answer: PipelineAnswer) -> bool:
    return any(one.state in ("well", "failing") and one.report.role in ("processor", "up") for one in answer.processes)


def _whole(value: float | None) -> Figure:
    return Figure(NOTHING if value is None else formatting.count(int(value)), "")


def _limit(limit: float | None) -> str:
    return "" if limit is None else f"of {formatting.count(int(limit))}"


def _queue_note(answer: PipelineAnswer) -> str:
    if "rabbit_queue_batches" not in answer.gauges:
        return "a direct call, no queue"
    return "batches" if answer.gauges.get("rabbit_source_connected") else "no connection: as read last"


def _dead_note(answer: PipelineAnswer) -> str:
    return "batches" if "rabbit_dead_letters" in answer.gauges else "senders are told at once"


def _disk_note(answer: PipelineAnswer) -> str:
    held = answer.gauges
    if "storage_free_bytes" in held:
        return f"{formatting.size(held['storage_free_bytes']).text} free"
    return (
        f"of {formatting.size(held.get('storage_max_database_bytes')).text}"
        if "storage_max_database_bytes" in held
        else ""
    )
