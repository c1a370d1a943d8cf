"""Everything that the overview shows at one moment, asked of `query/` together.

Between `answer.py`, which wants it, and the pure modules, which draw it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Final

from dash_app.shared.comparing import before_of, pair_of
from dash_app.shell.view import Bounds, View
from query import (
    GroupBy,
    Query,
    RedAnswer,
    RedTotal,
    ResourceQuery,
    SeriesFilter,
    ServicesAnswer,
    VerdictsAnswer,
    with_bottlenecks,
)

_LOOK_BACK_S: Final = 7 * 86_400
"""How far back an empty view looks for any call, to tell silence from a fresh start."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The answers behind one picture of the page; all cover the `bounds` of the view."""

    view: View
    bounds: Bounds
    services: ServicesAnswer
    """All services that the filter lets through."""
    by_service: RedAnswer
    """RED of the same services, one item each, in `series_step_s`."""
    overall: RedAnswer
    """RED of all together, one item or none, in `step_s`."""
    pair: tuple[RedTotal, RedTotal]
    """Totals of the same whose change is told: of both halves of the range, or of then and now."""
    newest_s: int | None
    """Start of the latest second with a call of any service; in an empty view that of the last seven days."""
    compared: str = ""
    """With which time before all together is compared, if with any."""
    before: RedAnswer | None = None
    """RED of all together at that time."""
    verdicts: VerdictsAnswer | None = None
    """On the resources of all services, as far as they are known; they are of now, so that a past range has none."""

    @property
    def end_s(self) -> int:
        """Up to when."""
        return self.bounds.end_s

    @property
    def is_over(self) -> bool:
        """Tell whether the range no longer moves with the clock: its problems are those at its end."""
        return self.view.range.is_over(self.end_s)

    @property
    def is_empty(self) -> bool:
        """Tell whether the view holds no call at all."""
        return not self.services.items


async def take_snapshot(query: Query, resources: ResourceQuery, view: View, compared: str = "") -> Snapshot:
    """Ask everything that the page of `view` shows, up to the latest settled second. Raises what `query` raises."""
    asked = view.range.bounds(query.settled_end_s())
    start_s, end_s = asked.start_s, asked.end_s

    def red(step_s: int, group_by: Sequence[GroupBy]) -> Awaitable[RedAnswer]:
        return query.red(start_s, end_s, step_s, group_by, view.where)

    services, by_service, overall, pair, verdicts = await asyncio.gather(
        query.services(asked.length_s, view.where, end_s),
        red(asked.range.series_step_s, ("service",)),
        red(asked.range.step_s, ()),
        pair_of(query, compared, asked, view.where),
        resources.recent_verdicts(),
    )
    before = await before_of(query, compared, start_s, end_s, asked.range.step_s, view.where)
    if view.range.is_over(end_s):
        verdicts = None
    services = with_bottlenecks(services, verdicts)
    known = services if services.items else await query.services(_LOOK_BACK_S, SeriesFilter(), end_s)
    return Snapshot(
        view,
        asked,
        services,
        by_service,
        overall,
        pair,
        max((item.last_seen_s for item in known.items), default=None),
        compared,
        before,
        verdicts,
    )
