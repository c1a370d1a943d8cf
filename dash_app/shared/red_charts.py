"""The three charts of RED: throughput, latency, errors; pure functions from an answer to Plotly's plain dicts.

Called by the pages that show them; the frame is that of `charts.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

from dash_app.shared import charts, palette
from dash_app.shared.charts import Figure
from dash_app.shared.ranking import Ranked
from query import RedAnswer, RedSeries


def throughput(answer: RedAnswer, ranked: Ranked, revision: str) -> Figure:
    """Return requests per second, stacked: the series of `ranked`, in its order, then all others as one."""
    times = charts.times_ms(answer)
    seconds = [charts.step_seconds(answer, time_ms // 1000) for time_ms in times]
    traces = [_area(entry.label, times, _rates([entry.series], seconds), entry.colour) for entry in ranked.shown]
    if ranked.others:
        label = f"{len(ranked.others)} others"
        traces.append(_area(label, times, _rates(ranked.others, seconds), palette.OTHERS))
    return charts.framed(traces, times, revision, {"hoverformat": ",.3~r"})


def latency(answer: RedAnswer, revision: str) -> Figure:
    """Return P50, P95 and P99 in seconds. A gap is a step without calls."""
    times = charts.times_ms(answer)
    steps = answer.items[0].steps if answer.items else ()
    traces = [
        charts.line("P50", times, [step.p50_s for step in steps], {"color": palette.P50, "width": 1.4}),
        charts.line("P95", times, [step.p95_s for step in steps], {"color": palette.P95, "width": 2}),
        charts.line("P99", times, [step.p99_s for step in steps], {"color": palette.P99, "width": 1.2, "dash": "dot"}),
    ]
    if not charts.has_gap(traces[0]["y"]):  # Plotly would draw the shade right across a gap, as if there had been calls
        for trace, colour in zip(traces[1:], (palette.P95, palette.P99), strict=True):
            trace |= {"fill": "tonexty", "fillcolor": palette.translucent(colour, 0.08)}
    return charts.framed(traces, times, revision, {"tickformat": "~s", "ticksuffix": "s", "hoverformat": ".3s"})


def errors(answer: RedAnswer, revision: str) -> Figure:
    """Return the share of calls that ended in an error of the service (5xx, exceptions) or of the caller (4xx)."""
    steps = answer.items[0].steps if answer.items else ()
    times = charts.times_ms(answer)
    traces = [
        _bars("5xx", times, [(step.errors, step.calls) for step in steps], palette.SERVER_ERRORS),
        _bars("4xx", times, [(step.client_errors, step.calls) for step in steps], palette.CLIENT_ERRORS),
    ]
    figure = charts.framed(traces, times, revision, {"tickformat": ",.3~r", "ticksuffix": "%"})
    figure["layout"] |= {"barmode": "stack", "bargap": 0.15}
    half_ms = 500 * answer.step_s
    figure["layout"]["xaxis"]["range"] = [times[0] - half_ms, times[-1] + half_ms]
    return figure


def _rates(series: Sequence[RedSeries], seconds: Sequence[int]) -> list[float]:
    columns = zip(*(one.steps for one in series), strict=True)
    return [
        round(sum(step.calls for step in column) / width, 6) for column, width in zip(columns, seconds, strict=True)
    ]


def _area(name: str, times: list[int], values: list[float], colour: str) -> Figure:
    trace = {
        "type": "scatter",
        "mode": "lines",
        "stackgroup": "all",
        "name": charts.plain(name),
        "x": times,
        "y": values,
        "line": {"width": 1.2, "color": colour},
        "fillcolor": palette.translucent(colour, 0.22),
    }
    return charts.in_unit(trace, "%{y} req/s", "requests/s")


def _bars(name: str, times: list[int], parts: list[tuple[int, int]], colour: str) -> Figure:
    trace = {
        "type": "bar",
        "name": name,
        "x": times,
        "y": [round(100 * hits / calls, 8) if calls else None for hits, calls in parts],
        "customdata": [[hits, calls] for hits, calls in parts],
        "marker": {"color": colour, "line": {"width": 0}},
    }
    hover = "%{y:,.3~r} % (%{customdata[0]:,} of %{customdata[1]:,})"
    return charts.in_unit(trace, hover, "ratio", charts.PERCENT)
