"""The charts of the pipeline; pure functions from an answer to Plotly's plain dicts."""

from __future__ import annotations

from typing import Final

from dash_app.shared import charts, palette
from dash_app.shared.charts import Figure
from query.pipeline import PipelineAnswer

PROMISED_S: Final = 2.0
_SECONDS: Final = {"tickformat": "~s", "ticksuffix": "s", "hoverformat": ".3s"}


def rate(answer: PipelineAnswer, revision: str) -> Figure:
    """Return items received and stored per second, of all signals."""
    times = _times(answer)
    traces = [
        charts.line("received", times, [step.received_per_s for step in answer.steps], _style(palette.P95)),
        charts.line("stored", times, [step.stored_per_s for step in answer.steps], _style(palette.P50)),
    ]
    drawn = [charts.in_unit(trace, "%{y}/s", "items/s") for trace in traces]
    return charts.framed(drawn, times, revision, {"hoverformat": ",.3~r"})


def freshness(answer: PipelineAnswer, revision: str) -> Figure:
    """Return the canary's P50 and P95 beside what is promised."""
    times = _times(answer)
    promised: list[float | None] = [PROMISED_S for _ in times]
    traces = [
        charts.line("P50", times, [step.p50_s for step in answer.steps], _style(palette.P50)),
        charts.line("P95", times, [step.p95_s for step in answer.steps], _style(palette.P95)),
        charts.line("promised", times, promised, {"color": palette.SERVER_ERRORS, "width": 1, "dash": "dot"}),
    ]
    return charts.framed(traces, times, revision, _SECONDS)


def lag(answer: PipelineAnswer, revision: str) -> Figure:
    """Return the age of the oldest batch that a processor has in hand."""
    times = _times(answer)
    trace = charts.line("lag", times, [step.lag_s for step in answer.steps], _style(palette.P95))
    return charts.framed([trace], times, revision, _SECONDS)


def _times(answer: PipelineAnswer) -> list[int]:
    return [1000 * step.time_s for step in answer.steps] or [1000 * answer.start_s, 1000 * answer.end_s]


def _style(colour: str) -> dict[str, object]:
    return {"color": colour, "width": 1.8}
