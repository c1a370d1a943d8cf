"""Everything that the page of a service shows at one moment, asked of `query/` together.

Between `answer.py`, which wants it, and the pure modules, which draw it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from dash_app.service.breakdowns import BREAKDOWNS, DEFAULT_BREAKDOWN
from dash_app.service.releases import Release, candidates, releases
from dash_app.shared.comparing import before_of, pair_of
from dash_app.shared.resource_pace import paced
from dash_app.shell.view import Bounds, View
from query import (
    BreakdownAnswer,
    GroupBy,
    LatencyAnswer,
    Query,
    RedAnswer,
    RedTotal,
    ResourceQuery,
    SeriesFilter,
    ServiceResources,
    ServicesAnswer,
    ServiceSummary,
    with_bottlenecks,
)

_LOOK_BACK_S: Final = 7 * 86_400
"""How far before the range a version is looked for, to tell whether it is new; and any call, if it holds none."""


@dataclass(frozen=True, slots=True)
class ServiceView:
    """What is asked for; without a `name` only which services there are."""

    view: View
    name: str | None = None
    breakdown: str = DEFAULT_BREAKDOWN
    compared: str = ""


@dataclass(frozen=True, slots=True)
class Details:
    """What is known of the service; all answers cover the same range."""

    summary: ServiceSummary
    overall: RedAnswer
    """RED of all its requests, one item or none, in `step_s`."""
    latency: LatencyAnswer
    """How their durations were spread, in the same steps."""
    by_status: RedAnswer
    breakdown: RedAnswer
    """RED by the chosen fields, of the chosen kinds of spans, in `series_step_s`."""
    totals: BreakdownAnswer
    """The same over exactly the range of the summary."""
    pair: tuple[RedTotal, RedTotal]
    releases: tuple[Release, ...]
    before: RedAnswer | None
    """RED of the same length of time, the chosen distance ago."""
    resources: ServiceResources | None
    """Nothing when it was not answered in time."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The answers behind one picture of the page."""

    asked: ServiceView
    bounds: Bounds
    services: ServicesAnswer
    """All services that the filter lets through."""
    details: Details | None
    """Nothing when the range holds no call of the service, or none was chosen."""
    newest_s: int | None
    """Start of the latest second with a call of any service; in an empty view that of the last seven days."""

    @property
    def end_s(self) -> int:
        """Up to when."""
        return self.bounds.end_s

    @property
    def is_over(self) -> bool:
        """Tell whether the range no longer moves with the clock: its problems are those at its end."""
        return self.asked.view.range.is_over(self.end_s)


async def take_snapshot(query: Query, resources: ResourceQuery, asked: ServiceView) -> Snapshot:
    """Ask everything that the page shows, up to the latest settled second. Raises what `query` raises."""
    view = asked.view
    bounds = view.range.bounds(query.settled_end_s())
    services, verdicts = await asyncio.gather(
        query.services(bounds.length_s, view.where, bounds.end_s),
        resources.recent_verdicts(),
    )
    services = with_bottlenecks(services, None if view.range.is_over(bounds.end_s) else verdicts)
    summary = next((item for item in services.items if item.service == asked.name), None)
    details = None if summary is None else await _details(query, resources, asked, summary, bounds)
    known = services if services.items else await query.services(_LOOK_BACK_S, SeriesFilter(), bounds.end_s)
    return Snapshot(asked, bounds, services, details, max((item.last_seen_s for item in known.items), default=None))


async def _details(
    query: Query, resources: ResourceQuery, asked: ServiceView, summary: ServiceSummary, bounds: Bounds
) -> Details:
    shown = bounds.range
    start_s, end_s = bounds.start_s, bounds.end_s
    where = replace(asked.view.where, service_name=asked.name)
    breakdown = BREAKDOWNS[asked.breakdown]

    def red(step_s: int, group_by: Sequence[GroupBy], of: SeriesFilter = where) -> Awaitable[RedAnswer]:
        return query.red(start_s, end_s, step_s, group_by, of)

    overall, latency, by_status, by_version, chosen, found = await asyncio.gather(
        red(shown.step_s, ()),
        query.latency(start_s, end_s, shown.step_s, where),
        red(shown.step_s, ("status_class",)),
        red(shown.step_s, ("version",)),
        red(shown.series_step_s, breakdown.group_by, replace(where, span_kinds=breakdown.kinds)),
        _resources(resources, asked.view, summary.service, bounds),
    )
    pair, totals = await asyncio.gather(
        pair_of(query, asked.compared, bounds, where),
        query.breakdown(bounds.length_s, end_s, breakdown.group_by, replace(where, span_kinds=breakdown.kinds)),
    )
    return Details(
        summary,
        overall,
        latency,
        by_status,
        chosen,
        totals,
        pair,
        await _releases(query, by_version, where),
        await before_of(query, asked.compared, start_s, end_s, shown.step_s, where),
        found,
    )


async def _resources(resources: ResourceQuery, view: View, service: str, bounds: Bounds) -> ServiceResources | None:
    if view.range.end_s is None:  # else its start and end stay where they were chosen
        bounds = view.range.bounds(paced(bounds.end_s))
    environment, step_s = view.where.deployment_environment, bounds.range.series_step_s
    return await resources.recent_service(service, bounds.start_s, bounds.end_s, step_s, environment)


async def _releases(query: Query, by_version: RedAnswer, where: SeriesFilter) -> tuple[Release, ...]:
    """Look for versions that came up within the range, and only if there are any ask which of them are new."""
    found = candidates(by_version)
    if not found:
        return ()
    before = await query.services(_LOOK_BACK_S, where, by_version.start_s)
    return releases(found, {version for item in before.items for version in item.versions})
