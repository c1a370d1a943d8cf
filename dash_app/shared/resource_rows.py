"""The row of a container or process in a table.

Pure, from a `Resource` to what the grid takes; numbers stay numbers for sorting and have their text beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dash_app.shared import formatting
from dash_app.shared.names import is_blank, visible
from query import Resource, ResourceState, Usage, Verdict, VerdictKind

Row = dict[str, Any]

STATE_NAMES = {ResourceState.LIVE: "Live", ResourceState.STALE: "Stale", ResourceState.STOPPED: "Stopped"}
_STATE_TONES = {ResourceState.LIVE: "healthy", ResourceState.STALE: "degraded", ResourceState.STOPPED: "no_data"}


def key_of(one: Resource) -> str:
    """Return what a resource is called in the address."""
    return f"{one.identity.kind}:{one.identity.id}"


def resource_row(one: Resource, verdicts: Sequence[Verdict], is_chosen: bool = False) -> Row:
    """Return the row of a resource; `verdicts` are those about it."""
    identity, owner = one.identity, one.owner
    tones = {verdict.kind: verdict.status.value for verdict in verdicts}
    evidence = {verdict.kind: visible(verdict.evidence) for verdict in verdicts}
    return {
        "key": key_of(one),
        "link": {"resource": None if is_chosen else key_of(one)},
        "name": visible(identity.name),
        "name_text": "\n".join((visible(identity.name), _note(one), _details(one), str(is_chosen))),
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
        "cpu_evidence": evidence.get(VerdictKind.CPU_BOUND, ""),
        "throttled_evidence": evidence.get(VerdictKind.THROTTLED, ""),
        "memory_evidence": evidence.get(VerdictKind.MEMORY_NEAR_LIMIT, evidence.get(VerdictKind.MEMORY_LEAKING, "")),
        "is_chosen": is_chosen,
        **usage_cells(one.now if one.state is ResourceState.LIVE else Usage(), one.steps),
    }


def usage_cells(now: Usage, steps: Sequence[Usage]) -> Row:
    """Return the fields of a row that tell what is used."""
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
