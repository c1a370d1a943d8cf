"""The charts of a service; pure functions from answers to Plotly's plain dicts.

Called by `answer.py`; the frame is that of `shared/charts.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

from dash_app.service.releases import Release
from dash_app.shared import charts, formatting, palette, red_charts
from dash_app.shared.charts import Figure
from dash_app.shared.ranking import Entry, Ranked
from query import LatencyAnswer, RedAnswer

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
_LETTERS: Final = 50
"""How many letters of a name fit across the narrowest chart, that of a phone."""
_ABOVE_PX: Final = 18
"""Room for the names above the lines, where those of alerts are not."""
_MOST_TICKS: Final = 8
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


def throughput(answer: RedAnswer, revision: str) -> Figure:
    """Return requests per second by status class."""
    figure = red_charts.throughput(answer, by_status(answer), revision)
    for area, entry in zip(figure["data"], by_status(answer).shown, strict=True):
        # The outline of a class without a call would lie on that of the class below.
        area |= {"line": {"width": 0}, "fillcolor": palette.translucent(entry.colour, 0.6)}
    return figure


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
        "hoverongaps": False,
        "showscale": False,
        "xgap": 0.5,
        "ygap": 0.5,
        "hovertemplate": "%{z:,} calls<br>%{customdata}<extra></extra>",
    }
    traces = [trace] if answer.bounds_s else []
    figure = charts.framed(traces, times, revision, {"type": "log", "rangemode": "normal", **_ticks(answer.bounds_s)})
    figure["layout"] |= {"hovermode": "closest"}
    figure["layout"]["xaxis"]["range"] = [times[0], times[-1] + 1000 * answer.step_s]
    return figure


def _ticks(bounds_s: Sequence[float]) -> dict[str, Any]:
    """Return round durations between the bounds with their units, as many in each decade as there is room for."""
    if not bounds_s:
        return {}
    low, high = bounds_s[0], bounds_s[-1]
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1, 2, 5), (1, 3), (1,)):
        values = [found for decade in decades for digit in digits if low <= (found := digit * 10.0**decade) <= high]
        if len(values) <= _MOST_TICKS:
            break
    texts = [formatting.round_duration(value) for value in values]
    return {"tickmode": "array", "tickvals": values, "ticktext": texts}


def _between(low_s: float, high_s: float) -> str:
    return f"{formatting.duration(low_s).text} – {formatting.duration(high_s).text}"


def _scale() -> list[list[Any]]:
    """Return shades of one colour; few calls are already seen, since counts are spread over orders of magnitude."""
    shares = [step / _SHADES for step in range(_SHADES + 1)]
    return [[round(share**2.5, 5), palette.translucent(_HEAT, round(0.1 + 0.9 * share, 3))] for share in shares]


def with_releases(figure: Figure, releases: Sequence[Release]) -> Figure:
    """Return the figure with a line where each new version was first seen, and its name above where there is room."""
    marks = releases[-_MOST_MARKS:]
    if not marks:
        return figure
    axis = figure["layout"]["xaxis"]["range"]
    shapes = [_line(1000 * release.time_s) for release in marks]
    notes = [_note(release, axis) for release in _named(marks, axis)]
    layout = figure["layout"]
    margin = layout.get("margin", {}) | {"t": _ABOVE_PX}
    return figure | {"layout": layout | {"shapes": shapes, "annotations": notes, "margin": margin}}


def _named(marks: Sequence[Release], axis: Sequence[int]) -> list[Release]:
    """Leave out names that would be written over others; the latest are the ones that are looked for."""
    kept: list[Release] = []
    taken: list[tuple[float, float]] = []
    for release in reversed(marks):
        at = 1000 * release.time_s
        width = (axis[1] - axis[0]) * (len(charts.shortened(release.version)) + 1) / _LETTERS
        low, high = (at - width, at) if _is_near_end(at, axis) else (at, at + width)
        if all(high <= start or end <= low for start, end in taken):
            kept.append(release)
            taken.append((low, high))
    return kept[::-1]


def _line(time_ms: int) -> dict[str, Any]:
    return {
        "type": "line",
        "xref": "x",
        "yref": "paper",
        "x0": time_ms,
        "x1": time_ms,
        "y0": 0,
        "y1": 1,
        "line": {"color": palette.OTHERS, "width": 1, "dash": "dot"},
    }


def _note(release: Release, axis: Sequence[int]) -> dict[str, Any]:
    """Return the name on the side of its line where there is room for it."""
    is_left = _is_near_end(1000 * release.time_s, axis)
    return {
        "x": 1000 * release.time_s,
        "y": 1,
        "xref": "x",
        "yref": "paper",
        "text": charts.plain(release.version),
        "showarrow": False,
        **({"xanchor": "right", "xshift": -2} if is_left else {"xanchor": "left", "xshift": 2}),
        "yanchor": "bottom",
        "font": {"size": 10},
    }


def _is_near_end(time_ms: int, axis: Sequence[int]) -> bool:
    return time_ms > axis[0] + _ROOM_FOR_NAMES * (axis[1] - axis[0])
