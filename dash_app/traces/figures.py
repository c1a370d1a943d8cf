"""The chart of the page of traces: each listed request by when it ended and how long it took.

Pure.
"""

from __future__ import annotations

from dash_app.shared import charts, palette
from dash_app.traces.lists import name_of
from query import KeptRequest, TracesAnswer

_NS_PER_MS = 1_000_000
_SHORTEST_MS = 100


def spread(answer: TracesAnswer, revision: str) -> charts.Figure:
    """Return the listed requests as points, failures apart."""
    failed = [item for item in answer.items if item.is_error]
    well = [item for item in answer.items if not item.is_error]
    points = [_points("Succeeded", well, palette.P95), _points("Failed", failed, palette.SERVER_ERRORS)]
    figure = charts.framed(points, _axis(answer), revision, {"tickformat": "~s", "ticksuffix": "s"})
    figure["layout"]["hovermode"] = "closest"
    return figure


def _axis(answer: TracesAnswer) -> list[int]:
    """Return the time of those listed, or the whole where all of it are listed."""
    whole = [1_000 * answer.start_s, 1_000 * answer.end_s]
    if answer.next_cursor is None or not answer.items:
        return whole
    times = [item.end_ns // _NS_PER_MS for item in answer.items]
    margin = max((max(times) - min(times)) // 50, _SHORTEST_MS)
    return [max(min(times) - margin, whole[0]), min(max(times) + margin, whole[1])]


def _points(name: str, items: list[KeptRequest], colour: str) -> charts.Figure:
    trace = {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [item.end_ns // _NS_PER_MS for item in items],
        "y": [round(item.duration_s, 6) for item in items],
        "text": [charts.plain(f"{item.service_name} {name_of(item)}") for item in items],
        "marker": {"size": 7, "color": colour, "opacity": 0.75, "line": {"width": 0}},
    }
    return charts.in_unit(trace, "%{text}<br>%{y} s<extra></extra>", "s")
