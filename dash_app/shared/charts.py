"""What every chart is made of: the common frame, lines, names that are safe to draw; Plotly's plain dicts.

Pure; used by the modules that draw. A figure built as a dict costs a hundredth of a `go.Figure`. Colours that depend on
the theme are left to `assets/charts.css`. Times are epoch milliseconds, which `assets/charts.js` puts into the reader's
zone. Names come from spans, so they are escaped: Plotly reads `<b>` or `<a href>` in any text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from dash_app.shared import palette
from dash_app.shared.names import visible
from query import RedAnswer

Figure = dict[str, Any]

PERCENT: Final = 0.01
_LONGEST_NAME: Final = 48

_TIME_FORMATS: Final = [
    {"dtickrange": [None, 999], "value": "%H:%M:%S.%L"},
    {"dtickrange": [1_000, 59_999], "value": "%H:%M:%S"},
    {"dtickrange": [60_000, 43_199_999], "value": "%H:%M"},
    {"dtickrange": [43_200_000, None], "value": "%-d %b"},
]
"""Seconds only where ticks are less than a minute apart; without this Plotly adds the date on a second line."""
_MOST_TICKS: Final = 6
_RIGHT_PX: Final = ((500, 40), (30_000, 28))
"""Room for half of a last label that stands at the edge, where ticks are at most that many ms apart."""
_LEAST_RIGHT_PX: Final = 20
_DAY_MS: Final = 86_400_000


def times_ms(answer: RedAnswer) -> list[int]:
    """Return the start of each step as Unix milliseconds, also for an answer without series."""
    return [1000 * second for second in range(answer.start_s, answer.end_s, answer.step_s)]


def step_seconds(answer: RedAnswer, start_s: int) -> int:
    """Return how many seconds of the answer the step beginning at `start_s` covers; the last may be cut short."""
    return max(min(answer.step_s, answer.end_s - start_s), 1)


def plain(name: str) -> str:
    """Return a name that Plotly shows letter by letter: it reads a few HTML tags and entities in any text."""
    return shortened(name).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def shortened(name: str) -> str:
    """Return what is seen of a name in a chart."""
    return visible(name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…")


def has_gap(values: Sequence[float | None]) -> bool:
    """Tell whether a value is missing between two others."""
    known = [index for index, value in enumerate(values) if value is not None]
    return bool(known) and known[-1] - known[0] >= len(known)


def in_unit(trace: Figure, hover: str, unit: str, size: float = 1) -> Figure:
    """Return the trace with what is read at a point, and what `assets/csv.js` writes: values times `size`, in `unit`.

    So a file has bytes and shares where a chart has GiB and per cent.
    """
    return trace | {"hovertemplate": hover, "measured": {"unit": unit, "size": size}}


def line(name: str, times: list[int], values: list[float | None], style: dict[str, Any], decimals: int = 6) -> Figure:
    """Return a line of seconds; `in_unit` makes something else of it."""
    trace: Figure = {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": times,
        "y": [None if value is None else round(value, decimals) for value in values],
        "line": style,
    }
    if alone := [5 if is_alone else 0 for is_alone in _alone(values)]:
        marker = {"size": alone, "color": style["color"], "line": {"width": 0}}
        trace |= {"mode": "lines+markers", "marker": marker, "cliponaxis": False}
    return in_unit(trace, "%{y}s", "s")


def _alone(values: Sequence[float | None]) -> list[bool]:
    """Mark values between two gaps, of which a line alone would show nothing; empty when there are none."""
    padded = [None, *values, None]
    marks = [
        value is not None and padded[index] is None and padded[index + 2] is None for index, value in enumerate(values)
    ]
    return marks if any(marks) else []


def framed(traces: list[Figure], times: list[int], revision: str, yaxis: dict[str, Any]) -> Figure:
    """Put traces into the common frame. What a reader did to the figure stays while `revision` stays."""
    axis = {
        "gridcolor": palette.GRID_LINE,
        "linecolor": palette.GRID_LINE,
        "zeroline": False,
        "ticks": "",
        "tickfont": {"size": 11},
        # Else Plotly measures every label at every update, to hide those that reach over the edge.
        "ticklabeloverflow": "allow",
    }
    layout = {
        "margin": {"l": 46, "r": _right_px(times[-1] - times[0]), "t": 10, "b": 26},
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
            "nticks": _MOST_TICKS,
            "hoverformat": "%H:%M:%S" if times[-1] - times[0] < _DAY_MS else "%-d %b %H:%M",
            "tickformatstops": _TIME_FORMATS,
            "spikethickness": 1,
            "spikedash": "solid",
        },
        "yaxis": axis | {"nticks": 5, "rangemode": "tozero", "fixedrange": True} | yaxis,
    }
    return {"data": traces, "layout": layout}


def _right_px(length_ms: int) -> int:
    """Return the margin on the right, for the longest label that an axis of this length may have.

    Plotly takes the next round distance of ticks: up to half a second labels have ms, up to half a minute seconds.
    """
    return next((px for apart_ms, px in _RIGHT_PX if length_ms <= _MOST_TICKS * apart_ms), _LEAST_RIGHT_PX)
