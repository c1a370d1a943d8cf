"""The rows of the table of containers: resources, or groups of them.

Pure, from a `Snapshot` to what the grid takes; numbers stay numbers for sorting and have their text beside them.
"""

from __future__ import annotations

from typing import Any

from dash_app.containers.choice import group_name, key_of
from dash_app.containers.snapshot import Snapshot
from dash_app.shared import formatting
from dash_app.shared.names import is_blank, visible
from query import Resource, ResourceGroup, ResourceState, Usage, Verdict, VerdictKind

Row = dict[str, Any]

STATE_NAMES = {ResourceState.LIVE: "Live", ResourceState.STALE: "Stale", ResourceState.STOPPED: "Stopped"}
_STATE_TONES = {ResourceState.LIVE: "healthy", ResourceState.STALE: "degraded", ResourceState.STOPPED: "no_data"}
UNNAMED = "(none)"


def rows_of(snapshot: Snapshot) -> list[Row]:
    """Return a row per resource, or per group of those that are shown."""
    choice = snapshot.choice
    if choice.group_by == "resource":
        verdicts = _by_resource(snapshot)
        return [_resource_row(one, verdicts, key_of(one) == choice.resource) for one in snapshot.shown]
    named = {group_name(one, choice.group_by) for one in snapshot.shown}
    return [_group_row(group, choice.group_by) for group in snapshot.answer.groups if group.name in named]


def _by_resource(snapshot: Snapshot) -> dict[tuple[str, str], list[Verdict]]:
    found: dict[tuple[str, str], list[Verdict]] = {}
    for item in snapshot.verdicts.items if snapshot.verdicts else ():
        for verdict in item.verdicts:
            found.setdefault((item.service, verdict.resource), []).append(verdict)
    return found


def _resource_row(one: Resource, verdicts: dict[tuple[str, str], list[Verdict]], is_chosen: bool) -> Row:
    identity, owner = one.identity, one.owner
    tones = {verdict.kind: verdict.status.value for verdict in verdicts.get((owner.service, identity.name), ())}
    return {
        "key": key_of(one),
        "link": {"resource": None if is_chosen else key_of(one)},
        "name": visible(identity.name),
        "is_blank": is_blank(identity.name),
        "note": _note(one),
        "details": _details(one),
        "owner": visible(owner.service) if owner.service else "",
        "state": STATE_NAMES[one.state],
        "state_tone": _STATE_TONES[one.state],
        "restarts": one.restarts,
        "restarts_text": _count(one.restarts, one.new_restarts),
        "oom_kills": one.oom_kills,
        "oom_kills_text": _count(one.oom_kills, one.new_oom_kills),
        "oom_tone": "critical" if one.new_oom_kills else "healthy",
        "cpu_tone": tones.get(VerdictKind.CPU_BOUND, "healthy"),
        "throttled_tone": tones.get(VerdictKind.THROTTLED, "healthy"),
        "memory_tone": tones.get(VerdictKind.MEMORY_NEAR_LIMIT, tones.get(VerdictKind.MEMORY_LEAKING, "healthy")),
        "is_chosen": is_chosen,
        **_usage_cells(one.now if one.state is ResourceState.LIVE else Usage(), one.steps),
    }


def _group_row(group: ResourceGroup, grouping: str) -> Row:
    is_live = group.live_count > 0
    ended = group.resource_count - group.live_count
    return {
        "key": f"group:{group.name}",
        # A blank stands for the group of those without a name.
        "link": {"by": "resource", "of": grouping, "only": group.name or " ", "resource": None},
        "name": visible(group.name) if group.name else UNNAMED,
        "is_blank": not group.name.strip(),
        "note": formatting.plural(group.resource_count, "resource") + (f", {ended} not live" if ended else ""),
        "details": visible(group.name) if group.name else UNNAMED,
        "owner": "",
        "state": "Live" if is_live else "Not live",
        "state_tone": "healthy" if is_live else "no_data",
        **dict.fromkeys(("restarts", "oom_kills")),
        **{f"{name}_text": formatting.NOTHING for name in ("restarts", "oom_kills")},
        **{f"{name}_tone": "healthy" for name in ("oom", "cpu", "throttled", "memory")},
        "is_chosen": False,
        **_usage_cells(group.now, group.steps),
    }


def _usage_cells(now: Usage, steps: tuple[Usage, ...]) -> Row:
    network = _sum(now.network_receive_bytes_per_s, now.network_transmit_bytes_per_s)
    disk = _sum(now.disk_read_bytes_per_s, now.disk_write_bytes_per_s)
    return {
        "cpu": now.cpu_cores,
        "cpu_text": formatting.NOTHING if now.cpu_cores is None else formatting.significant(now.cpu_cores),
        "cpu_share": now.cpu_share,
        "cpu_share_text": formatting.percent(now.cpu_share).text,
        "throttled": now.throttled_share,
        "throttled_text": formatting.percent(now.throttled_share).text,
        "memory": now.memory_bytes,
        "memory_text": formatting.size(now.memory_bytes).text,
        "memory_share": now.memory_share,
        "memory_share_text": formatting.percent(now.memory_share).text,
        "network": network,
        "network_text": _per_second(network),
        "disk": disk,
        "disk_text": _per_second(disk),
        "cpu_course": [None if step.cpu_cores is None else round(step.cpu_cores, 4) for step in steps],
        "memory_course": [None if step.memory_bytes is None else round(step.memory_bytes) for step in steps],
    }


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None and other is None else (one or 0.0) + (other or 0.0)


def _per_second(value: float | None) -> str:
    return formatting.NOTHING if value is None else f"{formatting.size(value).text}/s"


def _count(total: int | None, new: int | None) -> str:
    if total is None:
        return formatting.NOTHING
    return f"{formatting.count(total)} (+{formatting.count(new)})" if new else formatting.count(total)


def _note(one: Resource) -> str:
    """What stands beside the name: the engine's own word where it says more than the state, and image or host."""
    said = one.reported_state if one.reported_state != "running" else ""
    return " · ".join(visible(text) for text in (said, one.identity.image or one.identity.host) if text)


def _details(one: Resource) -> str:
    """What the row's tooltip says."""
    identity, owner = one.identity, one.owner
    parts = [
        identity.name,
        f"{identity.kind} {identity.id}",
        f"on {identity.host}" if identity.host else "",
        identity.image,
        f"project {identity.compose_project}" if identity.compose_project else "",
        f"service {owner.service}, by {owner.matched_by}" if owner.service else "of no watched service",
    ]
    return visible(" · ".join(filter(None, parts)))
