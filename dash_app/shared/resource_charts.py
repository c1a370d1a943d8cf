"""The charts of containers and processes: CPU, memory, throttling; pure, from resources to Plotly's plain dicts.

Those that use the most are lines of their own, with their limit beside them if it is one and the same for all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from dash_app.shared import charts, palette
from dash_app.shared.charts import Figure
from query import Resource, ResourcesAnswer, ServiceResources, Usage

_LINES: Final = len(palette.SERIES)
LIMIT: Final = palette.OTHERS

_MIB: Final = 2**20
_GIB: Final = 2**30
_LARGE: Final = 600
"""From so many MiB on in GiB: more digits than three would not fit beside the axis."""

_LEFT_PX: Final = 56
"""Room for sizes with their units."""

_DECIMALS: Final = 10
"""So that GiB tell single bytes, which is what is saved of them."""

_Value = Callable[[Usage], float | None]
_Unit = tuple[str, str] | tuple[str, str, float]
"""What is read at a point, the unit in a file, and how much of it one on the axis is."""
_CORES: Final = ("%{y} cores", "cores")
_PER_CENT: Final = ("%{y} %", "ratio", charts.PERCENT)
_Answer = ResourcesAnswer | ServiceResources


def busiest(resources: Sequence[Resource]) -> tuple[Resource, ...]:
    """Return those that get lines of their own, by CPU and then by memory, in the order of the answer."""
    by_use = sorted(resources, key=lambda one: (-(one.mean.cpu_cores or 0.0), -(one.mean.memory_bytes or 0.0)))
    chosen = {one.identity.id for one in by_use[:_LINES]}
    return tuple(one for one in resources if one.identity.id in chosen)[:_LINES]


def colours_of(resources: Sequence[Resource], known: Sequence[Resource]) -> dict[str, str]:
    """Return the colour of each resource by its id; it keeps it while others come and go."""
    ids = [one.identity.id for one in resources]
    return dict(palette.colours_of(ids, [one.identity.id for one in known]))


def cpu(answer: _Answer, shown: Sequence[Resource], colours: dict[str, str], revision: str) -> Figure:
    """Return CPU in cores."""
    traces = _lines(answer, shown, colours, lambda usage: usage.cpu_cores, _CORES)
    traces += _limit(answer, shown, lambda usage: usage.cpu_limit_cores, _CORES)
    return charts.framed(traces, times_ms(answer), revision, {"hoverformat": ".3~r"})


def memory(answer: _Answer, shown: Sequence[Resource], colours: dict[str, str], revision: str) -> Figure:
    """Return memory in MiB or GiB, whichever suits all; Plotly knows no binary units."""
    limits = _common(shown, lambda usage: usage.memory_limit_bytes)
    sizes = [step.memory_bytes or 0.0 for one in shown for step in one.steps]
    sizes += [limit or 0.0 for limit in limits]
    size, unit = (_GIB, "GiB") if max(sizes, default=0.0) >= _LARGE * _MIB else (_MIB, "MiB")
    sized = f"%{{y}} {unit}", "bytes", size
    traces = _lines(answer, shown, colours, lambda usage: _scaled(usage.memory_bytes, size), sized)
    traces += _limit(answer, shown, lambda usage: _scaled(usage.memory_limit_bytes, size), sized)
    figure = charts.framed(traces, times_ms(answer), revision, {"ticksuffix": f" {unit}", "hoverformat": ",.4~r"})
    figure["layout"]["margin"] |= {"l": _LEFT_PX}
    return figure


def throttling(answer: _Answer, shown: Sequence[Resource], colours: dict[str, str], revision: str) -> Figure:
    """Return the share of periods in which a CPU quota was used up, in per cent."""
    traces = _lines(answer, shown, colours, lambda usage: _percent(usage.throttled_share), _PER_CENT)
    return charts.framed(traces, times_ms(answer), revision, {"ticksuffix": "%", "hoverformat": ".3~r"})


def times_ms(answer: _Answer) -> list[int]:
    return [1_000 * second for second in range(answer.start_s, answer.end_s, answer.step_s)]


def _lines(
    answer: _Answer, shown: Sequence[Resource], colours: dict[str, str], value: _Value, unit: _Unit
) -> list[Figure]:
    times = times_ms(answer)
    return [
        charts.in_unit(
            charts.line(
                charts.plain(one.identity.name),
                times,
                [value(step) for step in one.steps],
                {"color": colours.get(one.identity.id, palette.OTHERS), "width": 1.6},
                _DECIMALS,
            ),
            *unit,
        )
        for one in shown
    ]


def _limit(answer: _Answer, shown: Sequence[Resource], value: _Value, unit: _Unit) -> list[Figure]:
    limits = _common(shown, value)
    if not limits:
        return []
    style = {"color": LIMIT, "width": 1.2, "dash": "dash"}
    name = "limit" if len(shown) == 1 else "limit of each"
    return [charts.in_unit(charts.line(name, times_ms(answer), limits, style, _DECIMALS), *unit)]


def _common(shown: Sequence[Resource], value: _Value) -> list[float | None]:
    """Return a limit for each step if it is the same for all that have one; nothing if it differs or there is none."""
    columns = [{limit for one in shown if (limit := value(one.steps[step])) is not None} for step in _steps(shown)]
    is_common = any(columns) and all(len(limits) <= 1 for limits in columns)
    return [next(iter(limits), None) for limits in columns] if is_common else []


def _steps(shown: Sequence[Resource]) -> range:
    return range(min((len(one.steps) for one in shown), default=0))


def _scaled(value: float | None, size: int) -> float | None:
    return None if value is None else value / size


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share
