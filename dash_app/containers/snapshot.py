"""Everything that the page of containers shows at one moment, asked of `query/` together.

Between `answer.py`, which wants it, and the pure modules, which draw it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from dash_app.containers.choice import Choice
from dash_app.shared.resource_pace import paced
from query import Resource, ResourceFilter, ResourceQuery, ResourcesAnswer, VerdictsAnswer


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The answers behind one picture of the page."""

    choice: Choice
    answer: ResourcesAnswer
    """All resources that the filter lets through, and groups of those that are shown if the rows are groups."""
    verdicts: VerdictsAnswer | None

    @property
    def shown(self) -> tuple[Resource, ...]:
        """Those that pass the filter and belong to the chosen group."""
        return tuple(one for one in self.answer.items if self.choice.shows(one))


async def take_snapshot(resources: ResourceQuery, choice: Choice) -> Snapshot:
    """Ask everything that the page shows. Raises what `query` raises."""
    view = choice.view
    # Nothing new is measured from second to second; whoever looks meanwhile shares the answer.
    asked = view.range.bounds(paced(resources.end_s()))
    where = ResourceFilter(view.where.service_name, view.where.deployment_environment)
    answer, verdicts = await asyncio.gather(
        resources.resources(
            asked.start_s, asked.end_s, asked.range.series_step_s, choice.group_by, where, choice.shows
        ),
        resources.recent_verdicts(),
    )
    # Verdicts are about now, and say nothing of a time that is over.
    return Snapshot(choice, answer, verdicts if view.range.end_s is None else None)
