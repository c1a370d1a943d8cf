"""The charts of a service's resources on the axis of its traffic; pure, from the answer to Plotly's plain dicts.

Called by `resource_card.py`; CPU and memory of each container are those of `shared/resource_charts.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dash_app.shared import charts, palette, resource_charts
from dash_app.shared.charts import Figure
from query import Resource, ServiceResources

THROTTLED: Final = palette.CLIENT_ERRORS
P99: Final = palette.P99
EFFICIENCY: Final = palette.SERIES[1]


def figures_of(
    answer: ServiceResources, shown: Sequence[Resource], colours: dict[str, str], axis: Sequence[int], revision: str
) -> dict[str, Figure]:
    """Return the four charts by their ids; `axis` is the range of the charts of traffic, in milliseconds."""
    drawn = {
        "service-efficiency": efficiency(answer, revision),
        "service-cpu": resource_charts.cpu(answer, shown, colours, revision),
        "service-throttling": throttling(answer, revision),
        "service-memory": resource_charts.memory(answer, shown, colours, revision),
    }
    return {name: _on_axis(figure, axis) for name, figure in drawn.items()}


def efficiency(answer: ServiceResources, revision: str) -> Figure:
    """Return how many requests a second of CPU time served."""
    values = [step.calls_per_cpu_s for step in answer.steps]
    trace = charts.line("requests per CPU-second", _times(answer), values, {"color": EFFICIENCY, "width": 1.6})
    trace = charts.in_unit(trace, "%{y} per CPU-second", "requests/CPU-s")
    return charts.framed([trace], resource_charts.times_ms(answer), revision, {"hoverformat": ",.3~r"})


def throttling(answer: ServiceResources, revision: str) -> Figure:
    """Return the share of periods in which the CPU quota was used up, against the P99 on the right."""
    times = _times(answer)
    shares = [_percent(step.usage.throttled_share) for step in answer.steps]
    throttled = charts.line("throttled", times, shares, {"color": THROTTLED, "width": 1.6})
    p99 = charts.line("P99", times, [step.p99_s for step in answer.steps], {"color": P99, "width": 1.4, "dash": "dot"})
    traces = [charts.in_unit(throttled, "%{y} %", "ratio", charts.PERCENT), p99 | {"yaxis": "y2"}]
    figure = charts.framed(
        traces, resource_charts.times_ms(answer), revision, {"ticksuffix": "%", "hoverformat": ".3~r"}
    )
    figure["layout"]["yaxis2"] = figure["layout"]["yaxis"] | {
        "overlaying": "y",
        "side": "right",
        # Else it takes the places of the ticks on the left, which are no round numbers here.
        "tickmode": "auto",
        "showgrid": False,
        "tickformat": "~s",
        "ticksuffix": "s",
        "hoverformat": ".3s",
    }
    figure["layout"]["margin"] |= {"r": 46}
    return figure


def _times(answer: ServiceResources) -> list[int]:
    return [1_000 * step.time_s for step in answer.steps]


def _on_axis(figure: Figure, axis: Sequence[int]) -> Figure:
    xaxis = figure["layout"]["xaxis"] | {"range": list(axis)}
    return figure | {"layout": figure["layout"] | {"xaxis": xaxis}}


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share
