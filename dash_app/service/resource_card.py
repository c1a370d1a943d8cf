"""The resources of a service below its traffic: cards, charts and a row for each container and process.

Pure, from the answer of `query` to what `answer.py` fills in; without any it is said what to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dash import html
from dash.development.base_component import Component

from dash_app.service.resource_figures import figures_of
from dash_app.shared import formatting, resource_charts
from dash_app.shared.charts import Figure
from dash_app.shared.components import PageLink
from dash_app.shared.kpi_cards import short_card
from dash_app.shared.legend import legend
from dash_app.shared.names import visible
from dash_app.shared.resource_rows import Row, key_of, resource_row
from dash_app.shell.page import Filling
from query import Resource, ResourceState, ServiceResources, Usage

_NOTHING: Final = formatting.Figure(formatting.NOTHING, "")
_LEGEND_NAMES: Final = 3
_LONGEST_LEFT_S: Final = 30 * 86_400
NOT_ANSWERED: Final = "Resources were not answered in time; they are asked for again."


def filling_of(answer: ServiceResources | None, words: str, is_now: bool) -> Filling:
    """Return what is filled in; `words` name the range, which reaches up to the present if it `is_now`."""
    if answer is None:
        return {"service-resources-facts": {"children": NOT_ANSWERED}}
    if not answer.resources:
        return {
            "service-resources-facts": {"children": ""},
            "service-resources-none": {"hidden": False, "children": _nothing(answer.service, words)},
            "service-resources": {"hidden": True},
        }
    shown, colours = _lines(answer)
    entries = legend([(visible(one.identity.name), colours[one.identity.id]) for one in shown[:_LEGEND_NAMES]])
    return {
        "service-resources-facts": {"children": _facts(answer)},
        "service-resources-none": {"hidden": True},
        "service-resources": {"hidden": False},
        "service-resources-cards": {"content": cards(answer, is_now)},
        "service-cpu-legend": {"content": entries},
        "service-memory-legend": {"content": entries},
        "service-instances": {"rowData": rows(answer, is_now)},
    }


def charts_of(answer: ServiceResources | None, axis: Sequence[int], revision: str) -> dict[str, Figure]:
    """Return the charts, none where there is nothing to draw."""
    if answer is None or not answer.resources:
        return {}
    shown, colours = _lines(answer)
    return figures_of(answer, shown, colours, axis, revision)


def cards(answer: ServiceResources, is_now: bool) -> list[Component]:
    """Return the key figures: of the present, or of the last step that is known where the range is over."""
    known = (step.usage for step in reversed(answer.steps) if step.usage != Usage())
    now = answer.now if is_now else next(known, answer.now)
    used = formatting.Figure(formatting.significant(now.cpu_cores), "cores") if now.cpu_cores is not None else _NOTHING
    of_limit = f"{formatting.percent(now.cpu_share).text} of what it may use" if now.cpu_share is not None else ""
    efficiency = answer.calls_per_cpu_s
    served = _NOTHING if efficiency is None else formatting.Figure(formatting.significant(efficiency), "")
    return [
        short_card(
            "efficiency", "Requests per CPU-second", served, "", "Over the range: requests by the CPU time of all"
        ),
        short_card("cpu", "CPU", used, of_limit, "All containers and processes together"),
        short_card(
            "throttled", "Throttled", formatting.percent(now.throttled_share), _quota(answer), "Share of CPU periods"
        ),
        short_card("memory", "Memory", formatting.size(now.memory_bytes), _memory(answer, is_now), "Working set"),
    ]


def rows(answer: ServiceResources, is_now: bool) -> list[Row]:
    """Return a row for each; its name leads to it on the page of containers. Verdicts are on the present only."""
    found = []
    for one in answer.resources:
        about = [verdict for verdict in answer.verdicts if is_now and verdict.resource == one.identity.name]
        link = {"path": "/containers", "link": {"resource": key_of(one)}}
        found.append(resource_row(one, about) | link | {"matched": visible(one.owner.matched_by)})
    return found


def _lines(answer: ServiceResources) -> tuple[tuple[Resource, ...], dict[str, str]]:
    shown = resource_charts.busiest(answer.resources)
    return shown, resource_charts.colours_of(shown, answer.resources)


def _facts(answer: ServiceResources) -> str:
    live = sum(one.state is ResourceState.LIVE for one in answer.resources)
    counted = [
        formatting.plural(count, noun) if noun == "container" or count == 1 else f"{formatting.count(count)} processes"
        for noun in ("container", "process")
        if (count := sum(one.identity.kind == noun for one in answer.resources))
    ]
    ended = len(answer.resources) - live
    return ", ".join(counted) + (f", {ended} not live" if ended else "")


def _quota(answer: ServiceResources) -> str:
    has_periods = any(step.usage.periods_per_s for step in answer.steps)
    return "of CPU periods" if has_periods else "no CPU quota"


def _memory(answer: ServiceResources, is_now: bool) -> str:
    share = next((step.memory_share for step in reversed(answer.steps) if step.memory_share is not None), None)
    whose = "of its limit" if len(answer.resources) == 1 else "of a limit at most"
    parts = [] if share is None else [f"{formatting.percent(share).text} {whose}"]
    left_s = answer.memory_left_s
    if is_now and left_s is not None:
        parts.append(f"{formatting.age(left_s)} left" if left_s < _LONGEST_LEFT_S else "over 30 days left")
    return ", ".join(parts)


def _nothing(service: str, words: str) -> list[Component]:
    """Say what to do, as there is no resource that is known to belong to the service."""
    return [
        html.B("No container or process is known to run this service"),
        html.Div(
            [
                f"None was measured in {words}. Run ",
                html.Code("modelwatch containers"),
                " on its host, or let a Collector send docker_stats, kubeletstats or hostmetrics "
                "(docs/containers.md). If they stand under ",
                PageLink("/containers", "Containers", "link-button", {"of": "service", "only": " "}),
                " without a service, set ",
                html.Code("OTEL_RESOURCE_ATTRIBUTES=container.name=…"),
                f" or host.name=…,process.pid=… on {visible(service)} (docs/bottlenecks.md).",
            ]
        ),
    ]
