"""The rows of the table of containers: resources, or groups of them.

Pure, from a `Snapshot` to what the grid takes; numbers stay numbers for sorting and have their text beside them.
"""

from __future__ import annotations

from dash_app.containers.snapshot import Snapshot
from dash_app.shared import formatting
from dash_app.shared.names import visible
from dash_app.shared.resource_rows import Row, key_of, resource_row, usage_cells
from query import ResourceGroup, Verdict

UNNAMED = "(none)"


def rows_of(snapshot: Snapshot) -> list[Row]:
    """Return a row per resource, or per group of those that are shown."""
    choice = snapshot.choice
    if choice.group_by == "resource":
        verdicts = _by_resource(snapshot)
        return [
            resource_row(one, verdicts.get((one.owner.service, one.identity.name), ()), key_of(one) == choice.resource)
            for one in snapshot.shown
        ]
    return [_group_row(group, choice.group_by) for group in snapshot.answer.groups]


def _by_resource(snapshot: Snapshot) -> dict[tuple[str, str], list[Verdict]]:
    found: dict[tuple[str, str], list[Verdict]] = {}
    for item in snapshot.verdicts.items if snapshot.verdicts else ():
        for verdict in item.verdicts:
            found.setdefault((item.service, verdict.resource), []).append(verdict)
    return found


def _group_row(group: ResourceGroup, grouping: str) -> Row:
    is_live = group.live_count > 0
    ended = group.resource_count - group.live_count
    name = visible(group.name) if group.name else UNNAMED
    note = formatting.plural(group.resource_count, "resource") + (f", {ended} not live" if ended else "")
    return {
        "key": f"group:{group.name}",
        # A blank stands for the group of those without a name.
        "link": {"by": "resource", "of": grouping, "only": group.name or " ", "resource": None},
        "name": name,
        "name_text": f"{name}\n{note}",
        "is_blank": not group.name.strip(),
        "note": note,
        "details": name,
        "owner": "",
        "state": "Live" if is_live else "Not live",
        "state_tone": "healthy" if is_live else "no_data",
        **dict.fromkeys(("restarts", "oom_kills")),
        **{f"{name}_text": formatting.NOTHING for name in ("restarts", "oom_kills")},
        **{f"{name}_tone": "healthy" for name in ("oom", "cpu", "throttled", "memory")},
        "is_chosen": False,
        **usage_cells(group.now, group.steps),
    }
