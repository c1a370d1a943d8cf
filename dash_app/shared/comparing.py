"""The same time of before beside now: the choice, and the dashed lines in the charts of RED.

Pure but for `before_of`; used by the pages that show RED over time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import dash_mantine_components as dmc
from dash.development.base_component import Component

from dash_app.shared import charts, palette
from dash_app.shared.charts import Figure
from dash_app.shared.components import attributes
from dash_app.shell.page import Control
from dash_app.shell.view import Bounds
from query import Query, RedAnswer, RedStep, RedTotal, SeriesFilter

COMPARISONS: Final = {"day": 86_400, "week": 7 * 86_400}
"""Seconds between what is shown and what it is compared with, by the name in the address."""
_NAMES: Final = {"day": "yesterday", "week": "last week"}
_DAY_S: Final = 86_400
_NOTHING: Final = "none"

_Value = Callable[[RedStep, int], float | None]
_Unit = tuple[str, str] | tuple[str, str, float]
"""What is read at a point, the unit in a file, and how much of it one on the axis is."""
_PER_CENT: Final = ("%{y:,.3~r} %", "ratio", charts.PERCENT)


def compare_control(name: str) -> Control:
    """Return the control of the page's address whose component has the id `name`."""
    return Control("compare", name, default=_NOTHING, choices=(_NOTHING, *COMPARISONS))


def comparison_in(text: str) -> str:
    """Return the name of a comparison from an address; what is none is empty."""
    return text if text in COMPARISONS else ""


def compare_choice(name: str) -> Component:
    """Return the component with the id `name`."""
    choices = [{"label": f"vs {_NAMES[key]}", "value": key} for key in COMPARISONS]
    component: Component = dmc.SegmentedControl(
        id=name,
        data=[{"label": "Now", "value": _NOTHING}, *choices],
        value=_NOTHING,
        size="xs",
        **attributes(aria_label="Compare with"),
    )
    return component


async def before_of(
    query: Query, compared: str, start_s: int, end_s: int, step_s: int, where: SeriesFilter
) -> RedAnswer | None:
    """Return RED of all that `where` lets through, the chosen distance before; nothing without a choice."""
    distance_s = COMPARISONS.get(compared)
    if distance_s is None:
        return None
    return await query.red(start_s - distance_s, end_s - distance_s, step_s, (), where)


async def pair_of(query: Query, compared: str, bounds: Bounds, where: SeriesFilter) -> tuple[RedTotal, RedTotal]:
    """Return the totals that cards compare: those of before and of now, or of both halves without a choice."""
    distance_s, length_s = COMPARISONS.get(compared), bounds.length_s
    if distance_s is None:
        distance_s = length_s = bounds.half_s
    before, now = await asyncio.gather(
        query.services(length_s, where, bounds.end_s - distance_s), query.services(length_s, where, bounds.end_s)
    )
    return before.total, now.total


def pair_words(compared: str) -> str:
    """Say what cards compare."""
    return f"Against {_name(compared)}" if compared else "The later half of the range against the earlier half"


def with_throughput(figure: Figure, now: RedAnswer, before: RedAnswer | None, compared: str) -> Figure:
    """Return the chart of requests per second with those of before as one line."""
    return _with(figure, now, before, _name(compared), _rate, ("%{y} req/s", "requests/s"))


def with_latency(figure: Figure, now: RedAnswer, before: RedAnswer | None, compared: str) -> Figure:
    """Return the chart of percentiles with the P95 of before."""
    return _with(figure, now, before, f"P95 {_name(compared)}", lambda step, _: step.p95_s, ("%{y}s", "s"))


def with_errors(figure: Figure, now: RedAnswer, before: RedAnswer | None, compared: str) -> Figure:
    """Return the chart of errors with the share of server errors of before."""
    return _with(figure, now, before, f"5xx {_name(compared)}", _failed_percent, _PER_CENT)


def words_of(usual: str, before: RedAnswer | None, compared: str) -> str:
    """Say what the dashed line is, or that there is nothing to compare with; `usual` where nothing is compared."""
    if not compared:
        return usual
    return f"dashed: {_name(compared)}" if before is not None and before.items else f"no calls {_name(compared)}"


def _name(compared: str) -> str:
    return _NAMES.get(compared, "")


def _rate(step: RedStep, seconds: int) -> float:
    return round(step.calls / seconds, 6)


def _failed_percent(step: RedStep, _seconds: int) -> float | None:
    return round(100 * step.errors / step.calls, 8) if step.calls else None


def _with(figure: Figure, now: RedAnswer, before: RedAnswer | None, name: str, value_of: _Value, unit: _Unit) -> Figure:
    """Add a dashed line of what was before, on the axis of now; none where there were no calls."""
    if before is None:
        return figure
    steps: Sequence[RedStep] = before.items[0].steps if before.items else ()
    distance_s = round((now.end_s - before.end_s) / _DAY_S) * _DAY_S
    times = [time_ms + 1000 * distance_s for time_ms in charts.times_ms(before)]
    values = [value_of(step, charts.step_seconds(before, step.time_s)) for step in steps]
    style = {"color": palette.OTHERS, "width": 1.3, "dash": "dash"}
    ghost = charts.in_unit(charts.line(name, times, values, style, decimals=8), *unit)
    return figure | {"data": [*figure["data"], ghost]}
