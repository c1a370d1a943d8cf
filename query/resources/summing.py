"""Resources added up: into groups, and over time.

Pure. What cannot be added is not: the CPUs and the memory of a host are there once, however many run on it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from query.resources.answers import Resource, ResourceGroup, ResourceGrouping, ResourceState, Usage
from query.resources.measuring import USAGE_FIELDS

GROUP_OF: Final[Mapping[ResourceGrouping, Callable[[Resource], str]]] = {
    "service": lambda one: one.owner.service,
    "image": lambda one: one.identity.image,
    "compose_project": lambda one: one.identity.compose_project,
    "host": lambda one: one.identity.host,
}


@dataclass(frozen=True, slots=True)
class Limited:
    """A resource, and whether its limits of CPU and memory are its own or those of its host."""

    resource: Resource
    has_own_cpu_limit: bool
    has_own_memory_limit: bool


def mean_of(steps: Iterable[Usage]) -> Usage:
    """Return the mean of what is known."""
    return Usage(*(_mean(values) for values in _columns(steps)))


def latest_of(steps: Sequence[Usage]) -> Usage:
    """Return for each field the last value that is known."""
    return Usage(
        *(next((value for value in reversed(values) if value is not None), None) for values in _columns(steps))
    )


def groups_of(resources: Sequence[Limited], grouping: ResourceGrouping) -> tuple[ResourceGroup, ...]:
    """Return the groups by name; resources that have no name for this grouping are together in one without."""
    if grouping == "resource":
        return ()
    members: defaultdict[str, list[Limited]] = defaultdict(list)
    for one in resources:
        members[GROUP_OF[grouping](one.resource)].append(one)
    return tuple(group_of(name, members[name]) for name in sorted(members))


def group_of(name: str, members: Sequence[Limited]) -> ResourceGroup:
    """Return what these resources use together."""
    live = [one for one in members if one.resource.state is ResourceState.LIVE]
    step_count = len(members[0].resource.steps) if members else 0
    return ResourceGroup(
        name=name,
        resource_count=len(members),
        live_count=len(live),
        now=sum_of([(one, one.resource.now) for one in live]),
        mean=sum_of([(one, one.resource.mean) for one in members]),
        steps=tuple(sum_of([(one, one.resource.steps[step]) for one in members]) for step in range(step_count)),
    )


def sum_of(usages: Sequence[tuple[Limited, Usage]]) -> Usage:
    """Add up what is known; limits only of those that use something, and only if each of those has one."""
    known = [(one, usage) for one, usage in usages if usage != Usage()]
    total = Usage(*(_sum(values) for values in _columns(usage for _, usage in known)))
    return replace(
        total,
        cpu_limit_cores=_sum_of_limits(
            [(one.has_own_cpu_limit, one, usage.cpu_limit_cores) for one, usage in known if usage.cpu_cores is not None]
        ),
        memory_limit_bytes=_sum_of_limits(
            [
                (one.has_own_memory_limit, one, usage.memory_limit_bytes)
                for one, usage in known
                if usage.memory_bytes is not None
            ]
        ),
    )


def _sum_of_limits(limits: Sequence[tuple[bool, Limited, float | None]]) -> float | None:
    total = 0.0
    of_hosts: dict[str, float] = {}
    for is_own, one, limit in limits:
        if limit is None:
            return None
        if is_own:
            total += limit
        else:
            host = one.resource.identity.host
            of_hosts[host] = max(of_hosts.get(host, 0.0), limit)
    return total + math.fsum(of_hosts.values()) if limits else None


def _columns(steps: Iterable[Usage]) -> list[list[float | None]]:
    rows = [[getattr(usage, name) for name in USAGE_FIELDS] for usage in steps]
    return [[row[column] for row in rows] for column in range(len(USAGE_FIELDS))]


def _sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) if known else None


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None
