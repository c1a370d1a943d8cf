"""Whose a container or process is: service instances joined with what is measured, without configuration.

Pure. An instance says where it runs as far as its resource attributes go; the rules below are tried in their order, and
the first one that finds anything decides for that instance. A container stands for the processes in it, so that nothing
is counted twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from query.resources.answers import Match, Owner, ResourceIdentity
from telemetry import SeenInstance, ServiceInstance

_SHORT_ID_CHARS: Final = 12
"""Docker shows so many digits of an id, and names the host of a container by them unless told otherwise."""
_HEX: Final = frozenset("0123456789abcdef")


def owners_of(
    instances: Sequence[SeenInstance], resources: Sequence[ResourceIdentity]
) -> Mapping[tuple[str, str], Owner]:
    """Return the owner of each resource that has one, by kind and id.

    Of several instances that claim a resource the one that was heard of last is the owner.
    """
    owners: dict[tuple[str, str], Owner] = {}
    index = _Index(resources)
    for seen in sorted(instances, key=lambda seen: (-seen.last_seen_s, seen.instance)):
        match, found = _match(seen.instance, index)
        for resource in found:
            owner = Owner(seen.instance.service_name, seen.instance.name, seen.instance.deployment_environment, match)
            owners.setdefault((resource.kind, resource.id), owner)
    return owners | _named_by_their_metrics(resources, owners)


class _Index:
    """Resources by what rules look for first, so that each instance is compared with few of them."""

    def __init__(self, resources: Sequence[ResourceIdentity]) -> None:
        self.containers = [one for one in resources if one.kind == "container"]
        self.by_short_id: defaultdict[str, list[ResourceIdentity]] = defaultdict(list)
        self.by_pod: defaultdict[str, list[ResourceIdentity]] = defaultdict(list)
        self.by_name: defaultdict[str, list[ResourceIdentity]] = defaultdict(list)
        self.by_service: defaultdict[str, list[ResourceIdentity]] = defaultdict(list)
        self.by_pid: defaultdict[str, list[ResourceIdentity]] = defaultdict(list)
        self.by_reported: defaultdict[tuple[str, str], list[ResourceIdentity]] = defaultdict(list)
        for one in resources:
            if one.kind == "process":
                self.by_pid[one.pid].append(one)
                self.by_reported[one.reported_service, one.reported_instance].append(one)
                continue
            if one.container_id:
                self.by_short_id[one.container_id[:_SHORT_ID_CHARS]].append(one)
            if one.k8s_pod:
                self.by_pod[one.k8s_pod].append(one)
            if one.container_name:
                self.by_name[one.container_name].append(one)
            for name in {one.compose_service, one.container_name, one.k8s_container} - {""}:
                self.by_service[name].append(one)


def _match(instance: ServiceInstance, index: _Index) -> tuple[Match, list[ResourceIdentity]]:
    rules: tuple[tuple[Match, Callable[[], list[ResourceIdentity]]], ...] = (
        ("container.id", lambda: _by_id(index, instance.container_id)),
        ("k8s pod", lambda: _by_pod(index, instance)),
        ("container.name", lambda: _by_name(index, instance)),
        # The host of a container is named by its id unless somebody said otherwise.
        ("host.name", lambda: _by_id(index, instance.host_name)),
        ("process.pid", lambda: _by_pid(index, instance)),
        ("service.instance.id", lambda: _by_reported(index, instance)),
        ("name", lambda: _by_service(index, instance)),
    )
    for match, find in rules:
        if found := find():
            return match, found
    return "", []


def _by_id(index: _Index, text: str) -> list[ResourceIdentity]:
    """Find containers by an id or by its first digits, 12 at least."""
    if len(text) < _SHORT_ID_CHARS or not set(text) <= _HEX:
        return []
    candidates = index.by_short_id.get(text[:_SHORT_ID_CHARS], ())
    return [one for one in candidates if one.container_id.startswith(text) or text.startswith(one.container_id)]


def _by_pod(index: _Index, instance: ServiceInstance) -> list[ResourceIdentity]:
    return [
        one
        for one in index.by_pod.get(instance.k8s_pod, ())
        if _agree(one.k8s_namespace, instance.k8s_namespace) and _agree(one.k8s_container, instance.k8s_container)
    ]


def _by_name(index: _Index, instance: ServiceInstance) -> list[ResourceIdentity]:
    # Two hosts may have containers of one name, and the host of an instance may be the container itself.
    found = index.by_name.get(instance.container_name, [])
    here = [one for one in found if one.host == instance.host_name]
    return here or (found if len(found) == 1 else [])


def _by_pid(index: _Index, instance: ServiceInstance) -> list[ResourceIdentity]:
    """Find the process, and the workers that its reporter says belong to the same instance."""
    if not instance.process_pid:
        return []
    found = [
        one
        for one in index.by_pid.get(instance.process_pid, ())
        if one.host == instance.host_name and one.reported_service in ("", instance.service_name)
    ]
    return found + [one for one in _by_reported(index, instance) if one not in found] if found else []


def _by_reported(index: _Index, instance: ServiceInstance) -> list[ResourceIdentity]:
    if not instance.service_instance_id:
        return []
    return index.by_reported.get((instance.service_name, instance.service_instance_id), [])


def _by_service(index: _Index, instance: ServiceInstance) -> list[ResourceIdentity]:
    """Find containers that are named like the service, for senders that say nothing of where they run."""
    if instance.container_id or instance.k8s_pod or instance.container_name or instance.process_pid:
        return []
    found = index.by_service.get(instance.service_name, [])
    # The same name in two projects would be a guess.
    return found if len({(one.compose_project, one.k8s_namespace) for one in found}) == 1 else []


def _agree(one: str, other: str) -> bool:
    return not one or not other or one == other


def _named_by_their_metrics(
    resources: Sequence[ResourceIdentity], owners: Mapping[tuple[str, str], Owner]
) -> dict[tuple[str, str], Owner]:
    """Return owners of processes whose own metrics name a service, such as workers that send no spans themselves."""
    contained = {one.container_id for one in resources if one.kind == "container" and (one.kind, one.id) in owners}
    return {
        (one.kind, one.id): Owner(one.reported_service, one.reported_instance, "", "service.instance.id")
        for one in resources
        if one.reported_service and one.container_id not in contained - {""} and (one.kind, one.id) not in owners
    }
