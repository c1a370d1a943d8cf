"""The three charts: throughput, latency, errors; pure functions from an answer to Plotly's plain dicts.

Called by `callbacks.py`. A figure built as a dict costs a hundredth of a `go.Figure`. Colours that depend on the theme
are left to `assets/charts.css`. Times are epoch milliseconds, which Plotly shows in the reader's local time (see
`assets/charts.js`). Names come from spans, so they are escaped: Plotly reads `<b>` or `<a href>` in any text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from dash_app import palette
from dash_app.names import visible
from dash_app.ranking import Ranked
from query import RedAnswer, RedSeries

Figure = dict[str, Any]

CONFIG: Final[Any] = {
    "displayModeBar": False,
    "responsive": True,
    "showTips": False,
    "doubleClick": "autosize",
}

_LONGEST_NAME: Final = 48

_TIME_FORMATS: Final = [
    {"dtickrange": [None, 59_999], "value": "%H:%M:%S"},
    {"dtickrange": [60_000, None], "value": "%H:%M"},
]
"""Seconds only where ticks are less than a minute apart; without this Plotly adds the date on a second line."""


def throughput(answer: RedAnswer, ranked: Ranked, revision: str) -> Figure:
    """Return requests per second, stacked: the series of `ranked`, in its order, then all others as one."""
    times = times_ms(answer)
    seconds = [step_seconds(answer, time_ms // 1000) for time_ms in times]
    traces = [_area(entry.label, times, _rates([entry.series], seconds), entry.colour) for entry in ranked.shown]
    if ranked.others:
        label = f"{len(ranked.others)} others"
        traces.append(_area(label, times, _rates(ranked.others, seconds), palette.OTHERS))
    return _figure(traces, times, revision, {"hoverformat": ",.3~r"})


def latency(answer: RedAnswer, revision: str) -> Figure:
    """Return P50, P95 and P99 in seconds. A gap is a step without calls."""
    times = times_ms(answer)
    steps = answer.items[0].steps if answer.items else ()
    traces = [
        _line("P50", times, [step.p50_s for step in steps], {"color": palette.P50, "width": 1.4}),
        _line("P95", times, [step.p95_s for step in steps], {"color": palette.P95, "width": 2}),
        _line("P99", times, [step.p99_s for step in steps], {"color": palette.P99, "width": 1.2, "dash": "dot"}),
    ]
    if not _has_gap(traces[0]["y"]):  # Plotly would draw the shade right across a gap, as if there had been calls
        for trace, colour in zip(traces[1:], (palette.P95, palette.P99), strict=True):
            trace |= {"fill": "tonexty", "fillcolor": palette.translucent(colour, 0.08)}
    return _figure(traces, times, revision, {"tickformat": "~s", "ticksuffix": "s", "hoverformat": ".3s"})


def errors(answer: RedAnswer, revision: str) -> Figure:
    """Return the share of calls that ended in an error of the service (5xx, exceptions) or of the caller (4xx)."""
    steps = answer.items[0].steps if answer.items else ()
    times = times_ms(answer)
    traces = [
        _bars("5xx", times, [(step.errors, step.calls) for step in steps], palette.SERVER_ERRORS),
        _bars("4xx", times, [(step.client_errors, step.calls) for step in steps], palette.CLIENT_ERRORS),
    ]
    figure = _figure(traces, times, revision, {"tickformat": ",.3~r", "ticksuffix": "%"})
    figure["layout"] |= {"barmode": "stack", "bargap": 0.15}
    half_ms = 500 * answer.step_s
    figure["layout"]["xaxis"]["range"] = [times[0] - half_ms, times[-1] + half_ms]
    return figure


def times_ms(answer: RedAnswer) -> list[int]:
    """Return the start of each step as Unix milliseconds, also for an answer without series."""
    return [1000 * second for second in range(answer.start_s, answer.end_s, answer.step_s)]


def step_seconds(answer: RedAnswer, start_s: int) -> int:
    """Return how many seconds of the answer the step beginning at `start_s` covers; the last may be cut short."""
    return max(min(answer.step_s, answer.end_s - start_s), 1)


def plain(name: str) -> str:
    """Return a name that Plotly shows letter by letter: it reads a few HTML tags and entities in any text."""
    short = visible(name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…")
    return short.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _rates(series: Sequence[RedSeries], seconds: Sequence[int]) -> list[float]:
    columns = zip(*(one.steps for one in series), strict=True)
    return [
        round(sum(step.calls for step in column) / width, 3) for column, width in zip(columns, seconds, strict=True)
    ]


def _area(name: str, times: list[int], values: list[float], colour: str) -> Figure:
    return {
        "type": "scatter",
        "mode": "lines",
        "stackgroup": "all",
        "name": plain(name),
        "x": times,
        "y": values,
        "line": {"width": 1.2, "color": colour},
        "fillcolor": palette.translucent(colour, 0.22),
        "hovertemplate": "%{y} req/s",
    }


def _has_gap(values: Sequence[float | None]) -> bool:
    """Tell whether a value is missing between two others."""
    known = [index for index, value in enumerate(values) if value is not None]
    return bool(known) and known[-1] - known[0] >= len(known)


def _line(name: str, times: list[int], values: list[float | None], line: dict[str, Any]) -> Figure:
    trace: Figure = {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": times,
        "y": [None if value is None else round(value, 6) for value in values],
        "line": line,
        "hovertemplate": "%{y}s",
    }
    if alone := [5 if is_alone else 0 for is_alone in _alone(values)]:
        marker = {"size": alone, "color": line["color"], "line": {"width": 0}}
        trace |= {"mode": "lines+markers", "marker": marker, "cliponaxis": False}
    return trace


def _alone(values: Sequence[float | None]) -> list[bool]:
    """Mark values between two gaps, of which a line alone would show nothing; empty when there are none."""
    padded = [None, *values, None]
    marks = [
        value is not None and padded[index] is None and padded[index + 2] is None for index, value in enumerate(values)
    ]
    return marks if any(marks) else []


def _bars(name: str, times: list[int], parts: list[tuple[int, int]], colour: str) -> Figure:
    return {
        "type": "bar",
        "name": name,
        "x": times,
        "y": [round(100 * hits / calls, 4) if calls else None for hits, calls in parts],
        "customdata": [[hits, calls] for hits, calls in parts],
        "marker": {"color": colour, "line": {"width": 0}},
        "hovertemplate": "%{y:,.3~r} % (%{customdata[0]:,} of %{customdata[1]:,})",
    }


def _figure(traces: list[Figure], times: list[int], revision: str, yaxis: dict[str, Any]) -> Figure:
    """Put traces into the common frame. What a reader did to the figure stays while `revision` stays."""
    axis = {
        "gridcolor": palette.GRID_LINE,
        "linecolor": palette.GRID_LINE,
        "zeroline": False,
        "ticks": "",
        "tickfont": {"size": 11},
    }
    layout = {
        "margin": {"l": 46, "r": 12, "t": 10, "b": 26},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "Inter, system-ui, sans-serif", "size": 11},
        "hovermode": "x unified",
        "hoverlabel": {"font": {"size": 11}, "namelength": -1},
        "dragmode": "zoom",
        "showlegend": False,
        "uirevision": revision,
        "xaxis": axis
        | {
            "type": "date",
            "range": [times[0], times[-1]],
            "showgrid": False,
            "nticks": 6,
            "hoverformat": "%H:%M:%S",
            "tickformatstops": _TIME_FORMATS,
            "spikethickness": 1,
            "spikedash": "solid",
        },
        "yaxis": axis | {"nticks": 5, "rangemode": "tozero", "fixedrange": True} | yaxis,
    }
    return {"data": traces, "layout": layout}
