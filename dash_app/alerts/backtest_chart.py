"""What a rule would have done, as a chart and as a sentence.

Pure, from a `Backtest` to Plotly's plain dicts; bands show when an alert would have fired.
"""

from __future__ import annotations

from typing import Final

from alerting.backtest import Backtest
from alerting.rules import APDEX_UNIT, Rule
from dash_app.alerts.words import length
from dash_app.shared import charts, formatting, palette
from dash_app.shared.alert_marks import Band, marked
from dash_app.shared.charts import Figure

_AXES: Final[dict[str, dict[str, str]]] = {
    "s": {"tickformat": "~s", "ticksuffix": "s", "hoverformat": ".3s"},
    "1": {"tickformat": ".3~p", "hoverformat": ".3~p"},
    APDEX_UNIT: {"tickformat": ".2~f", "hoverformat": ".3~f"},
    "/s": {"tickformat": ",.3~r", "ticksuffix": "/s", "hoverformat": ",.3~r"},
}


def headline(tested: Backtest, grace_s: float = 0.0) -> str:
    """Return how often and how long the rule would have fired, and that its grace has no part in that."""
    left_out = " Its grace for new groups is left out: which were new then is not known." if grace_s else ""
    return _headline(tested) + left_out


def _headline(tested: Backtest) -> str:
    hours = f"{round((tested.end_s - tested.start_s) / 3_600)}\u00a0h"
    groups = formatting.plural(tested.groups, "group")
    if not tested.groups:
        return f"There was nothing to judge in the past {hours}."
    if not tested.fired:
        return f"It would not have fired in the past {hours}, of {groups}."
    often = "once" if tested.fired == 1 else "twice" if tested.fired == 2 else f"{formatting.count(tested.fired)} times"
    longest = f", the longest {length(tested.longest_s)}" if tested.fired > 1 else ""
    return f"It would have fired {often} in the past {hours}, of {groups}: {length(tested.firing_s)} in all{longest}."


def backtest_figure(rule: Rule, tested: Backtest) -> Figure:
    """Return the values of the groups that came farthest, the thresholds, and bands where it would have fired."""
    steps = range(tested.start_s + tested.step_s, tested.end_s + tested.step_s, tested.step_s)
    times = [1000 * min(second, tested.end_s) for second in steps]
    traces = []
    for number, one in enumerate(tested.series):
        colour = palette.SERIES[number % len(palette.SERIES)]
        name = charts.plain(" ".join(value for value in one.labels.values() if value) or "all")
        line = charts.line(name, times, list(one.values), {"color": colour, "width": 1.4})
        traces.append(charts.in_unit(line, "%{y}", rule.unit))
    for name, value, colour in (
        ("warning", rule.warning, palette.CLIENT_ERRORS),
        ("critical", rule.critical, palette.SERVER_ERRORS),
    ):
        if value is not None:
            ends = [times[0], times[-1]]
            dashed = charts.line(name, ends, [value, value], {"color": colour, "width": 1, "dash": "dash"})
            traces.append(charts.in_unit(dashed, "%{y}", rule.unit))
    figure = charts.framed(traces, times, f"{tested.start_s}", dict(_AXES.get(rule.unit, {"hoverformat": ",.4~r"})))
    bands = [
        Band(one.severity, one.started_s, one.ended_s if one.ended_s is not None else float(tested.end_s), "")
        for one in tested.episodes
    ]
    return marked(figure, bands)
