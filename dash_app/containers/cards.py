"""What is said above the table: how many run, what they use together, and of the chosen one what it is.

Pure, from a `Snapshot` to components.
"""

from __future__ import annotations

from collections.abc import Sequence

from dash.development.base_component import Component

from dash_app.containers.choice import GROUP_TITLES, Choice
from dash_app.containers.rows import UNNAMED
from dash_app.containers.snapshot import Snapshot
from dash_app.shared import formatting
from dash_app.shared.formatting import Figure
from dash_app.shared.kpi_cards import short_card
from dash_app.shared.names import visible
from dash_app.shared.resource_rows import key_of
from query import Resource, ResourceState


def summary(resources: Sequence[Resource]) -> list[Component]:
    """Return the cards; each carries its name as `data-kpi`."""
    live = [one for one in resources if one.state is ResourceState.LIVE]
    stale, stopped = (
        sum(one.state is state for one in resources) for state in (ResourceState.STALE, ResourceState.STOPPED)
    )
    cores = [one.now.cpu_cores for one in live if one.now.cpu_cores is not None]
    memory = [one.now.memory_bytes for one in live if one.now.memory_bytes is not None]
    throttled = [one for one in live if (one.now.throttled_share or 0.0) > 0]
    kills = sum(one.new_oom_kills or 0 for one in resources)
    restarts = sum(one.new_restarts or 0 for one in resources)
    return [
        short_card("live", "Live", Figure(formatting.count(len(live)), ""), "containers and processes"),
        short_card("not-live", "Stale or stopped", Figure(formatting.count(stale + stopped), ""), f"{stale} stale"),
        short_card("cpu", "CPU in use", Figure(formatting.significant(sum(cores)), "cores") if cores else _NOTHING, ""),
        short_card("memory", "Memory in use", formatting.size(sum(memory)) if memory else _NOTHING, ""),
        short_card("throttled", "Throttled now", Figure(formatting.count(len(throttled)), ""), ""),
        short_card("ended", "OOM kills", Figure(formatting.count(kills), ""), formatting.plural(restarts, "restart")),
    ]


_NOTHING = Figure(formatting.NOTHING, "")


def chosen_words(choice: Choice, chosen: Resource | None) -> str:
    """Return what the charts are about, if it is not everything."""
    if chosen is not None:
        return visible(chosen.identity.name)
    if choice.only is not None:
        return f"{GROUP_TITLES[choice.of].lower()} {visible(choice.only) if choice.only else UNNAMED}"
    return ""


def chosen_note(snapshot: Snapshot, chosen: Resource | None) -> str:
    """Return whose the chosen one is and what is wrong with it, or that it is not there any more."""
    if chosen is None:
        return "– it was not measured in this time." if snapshot.choice.resource is not None else ""
    owner = chosen.owner
    if not owner.service:
        return "of no watched service"
    verdicts = snapshot.verdicts.of(owner.service) if snapshot.verdicts else ()
    about = [one.evidence for one in verdicts if one.is_problem and one.resource == chosen.identity.name]
    return visible("; ".join([f"of {owner.service}, known by {owner.matched_by}", *about]))


def chosen_in(snapshot: Snapshot) -> Resource | None:
    """Return the resource that is chosen, if it is there."""
    return next((one for one in snapshot.answer.items if key_of(one) == snapshot.choice.resource), None)
