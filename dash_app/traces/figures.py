"""The chart of the page of traces: each listed request by when it ended and how long it took.

Pure.
"""

from __future__ import annotations

from dash_app.shared import charts, palette
from dash_app.traces.lists import name_of
from query import KeptRequest, TracesAnswer

_NS_PER_MS = 1_000_000


def spread(answer: TracesAnswer, revision: str) -> charts.Figure:
    """Return the listed requests as points, failures apart."""
    failed = [item for item in answer.items if item.is_error]
    well = [item for item in answer.items if not item.is_error]
    points = [_points("Succeeded", well, palette.P95), _points("Failed", failed, palette.SERVER_ERRORS)]
    times = [1_000 * answer.start_s, 1_000 * answer.end_s]
    figure = charts.framed(points, times, revision, {"ticksuffix": " s"})
    figure["layout"]["hovermode"] = "closest"
    return figure


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
