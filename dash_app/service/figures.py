"""The charts of a service; pure functions from answers to Plotly's plain dicts.

Called by `answer.py`; the frame is that of `shared/charts.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

from dash_app.service.releases import Release
from dash_app.shared import charts, formatting, palette, red_charts
from dash_app.shared.charts import Figure
from dash_app.shared.ranking import Entry, Ranked
from query import LatencyAnswer, RedAnswer, RedStep

_STATUS_COLOURS: Final = {
    "1xx": palette.OTHERS,
    "2xx": palette.SERIES[2],
    "3xx": palette.SERIES[1],
    "4xx": palette.CLIENT_ERRORS,
    "5xx": palette.SERVER_ERRORS,
}
NO_STATUS: Final = "no status"
_MOST_MARKS: Final = 12
_ROOM_FOR_NAMES: Final = 0.85
_HEAT: Final = "#5b7cfa"
_SHADES: Final = 8


def by_status(answer: RedAnswer) -> Ranked:
    """Return the status classes, each in its colour."""
    entries = [
        Entry(item.labels["status_class"] or NO_STATUS, _colour_of(item.labels["status_class"]), item)
        for item in answer.items
    ]
    return Ranked(tuple(entries), ())


def _colour_of(status_class: str) -> str:
    return _STATUS_COLOURS.get(status_class, palette.SERIES[0])


def throughput(answer: RedAnswer, before: RedAnswer | None, name: str, revision: str) -> Figure:
    """Return requests per second by status class, and those of before as one line."""
    figure = red_charts.throughput(answer, by_status(answer), revision)
    for area, entry in zip(figure["data"], by_status(answer).shown, strict=True):
        # The outline of a class without a call would lie on that of the class below.
        area |= {"line": {"width": 0}, "fillcolor": palette.translucent(entry.colour, 0.6)}
    if before is not None:
        seconds = [charts.step_seconds(before, time_ms // 1000) for time_ms in charts.times_ms(before)]
        values = [round(step.calls / width, 3) for step, width in zip(_steps(before), seconds, strict=False)]
        figure["data"].append(_ghost(name, answer, before, values, "%{y} req/s"))
    return figure


def latency(answer: RedAnswer, before: RedAnswer | None, name: str, revision: str) -> Figure:
    """Return P50, P95 and P99 as bands, and the P95 of before."""
    figure = red_charts.latency(answer, revision)
    if before is not None:
        values = [step.p95_s for step in _steps(before)]
        figure["data"].append(_ghost(f"P95 {name}", answer, before, values, "%{y}s"))
    return figure


def errors(answer: RedAnswer, before: RedAnswer | None, name: str, revision: str) -> Figure:
    """Return the shares of errors, and the share of server errors of before."""
    figure = red_charts.errors(answer, revision)
    if before is not None:
        values = [round(100 * step.errors / step.calls, 4) if step.calls else None for step in _steps(before)]
        figure["data"].append(_ghost(f"5xx {name}", answer, before, values, "%{y:,.3~r} %"))
    return figure


def _steps(answer: RedAnswer) -> Sequence[RedStep]:
    return answer.items[0].steps if answer.items else ()


def _ghost(name: str, now: RedAnswer, before: RedAnswer, values: Sequence[float | None], hover: str) -> Figure:
    """Return a dashed line of what was before, on the axis of now."""
    distance_s = round((now.end_s - before.end_s) / 86_400) * 86_400
    times = [time_ms + 1000 * distance_s for time_ms in charts.times_ms(before)]
    style = {"color": palette.OTHERS, "width": 1.3, "dash": "dash"}
    return charts.line(name, times, list(values), style) | {"hovertemplate": hover}


def heatmap(answer: LatencyAnswer, revision: str) -> Figure:
    """Return how many calls of each step took how long; the darker the more, zero is not drawn."""
    times = [1000 * second for second in range(answer.start_s, answer.end_s, answer.step_s)]
    rows = list(zip(*(step.counts for step in answer.steps), strict=True))
    trace: Figure = {
        "type": "heatmap",
        "x": [*times, times[-1] + 1000 * answer.step_s],
        "y": [float(f"{bound:.6g}") for bound in answer.bounds_s],
        "z": [[count or None for count in row] for row in rows],
        "customdata": [[_between(low, high)] * len(times) for low, high in pairwise(answer.bounds_s)],
        "colorscale": _scale(),
        "zmin": 0,
        "showscale": False,
        "xgap": 0.5,
        "ygap": 0.5,
        "hovertemplate": "%{z:,} calls<br>%{customdata}<extra></extra>",
    }
    traces = [trace] if answer.bounds_s else []
    figure = charts.framed(traces, times, revision, {"tickformat": "~s", "ticksuffix": "s", "hoverformat": ".3s"})
    figure["layout"] |= {"hovermode": "closest"}
    figure["layout"]["xaxis"]["range"] = [times[0], times[-1] + 1000 * answer.step_s]
    figure["layout"]["yaxis"] |= {"type": "log", "rangemode": "normal", "dtick": "D2", "nticks": 6}
    return figure


def _between(low_s: float, high_s: float) -> str:
    return f"{formatting.duration(low_s).text} – {formatting.duration(high_s).text}"


def _scale() -> list[list[Any]]:
    """Return shades of one colour; few calls are already seen, since counts are spread over orders of magnitude."""
    shares = [step / _SHADES for step in range(_SHADES + 1)]
    return [[round(share**2.5, 5), palette.translucent(_HEAT, round(0.1 + 0.9 * share, 3))] for share in shares]


def with_releases(figure: Figure, releases: Sequence[Release]) -> Figure:
    """Return the figure with a line where each new version was first seen; names only while there is room."""
    marks = releases[-_MOST_MARKS:]
    line = {"color": palette.OTHERS, "width": 1, "dash": "dot"}
    shapes = [
        {
            "type": "line",
            "xref": "x",
            "yref": "paper",
            "x0": 1000 * release.time_s,
            "x1": 1000 * release.time_s,
            "y0": 0,
            "y1": 1,
            "line": line,
        }
        for release in marks
    ]
    notes = [
        {
            "x": 1000 * release.time_s,
            "y": 1,
            "xref": "x",
            "yref": "paper",
            "text": charts.plain(release.version),
            "showarrow": False,
            **_beside(1000 * release.time_s, figure["layout"]["xaxis"]["range"]),
            "yanchor": "top",
            "font": {"size": 10},
        }
        for release in marks
    ]
    layout = figure["layout"] | {"shapes": shapes, "annotations": notes}
    return figure | {"layout": layout} if marks else figure


def _beside(time_ms: int, axis: Sequence[int]) -> dict[str, Any]:
    """Put a name on the side of its line where there is room for it."""
    is_near_end = time_ms > axis[0] + _ROOM_FOR_NAMES * (axis[1] - axis[0])
    return {"xanchor": "right", "xshift": -2} if is_near_end else {"xanchor": "left", "xshift": 2}
