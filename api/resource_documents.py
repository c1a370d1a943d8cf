"""From answers about resources to JSON; plain functions to plain dicts, as in `api/documents.py`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from api.documents import Json
from api.parameters import rfc_3339
from query import (
    InstancesAnswer,
    Resource,
    ResourceGroup,
    ResourcesAnswer,
    ServiceResources,
    ServiceVerdicts,
    Usage,
)
from telemetry import SeenInstance


class ResourcePage(NamedTuple):
    """What a page shows of an answer. All but the items is on the first page only."""

    items: Sequence[Resource]
    next_cursor: str | None
    groups: Sequence[ResourceGroup] = ()
    verdicts: Sequence[ServiceVerdicts] = ()
    traffic: ServiceResources | None = None


def resources_document(answer: ResourcesAnswer, page: ResourcePage) -> Json:
    """Return `resource_models.Resources`."""
    times = [rfc_3339(second) for second in range(answer.start_s, answer.end_s, answer.step_s)]
    return {
        "start": rfc_3339(answer.start_s),
        "end": rfc_3339(answer.end_s),
        "step_s": answer.step_s,
        "is_complete": answer.is_complete,
        "items": [_resource(item, times) for item in page.items],
        "next_cursor": page.next_cursor,
        "groups": [_group(group, times) for group in page.groups],
        "services": [_judged(item) for item in page.verdicts],
        "traffic": None if page.traffic is None else _traffic(page.traffic),
    }


def instances_document(answer: InstancesAnswer, items: Sequence[SeenInstance], next_cursor: str | None) -> Json:
    """Return `resource_models.Instances`; `items` are those of the page."""
    return {
        "since": rfc_3339(answer.since_s),
        "items": [_instance(seen) for seen in items],
        "next_cursor": next_cursor,
    }


def usage_document(usage: Usage) -> Json:
    """Return `resource_models.Usage`."""
    return {
        "cpu_cores": usage.cpu_cores,
        "cpu_limit_cores": usage.cpu_limit_cores,
        "cpu_share": usage.cpu_share,
        "throttled_share": usage.throttled_share,
        "memory_bytes": usage.memory_bytes,
        "memory_limit_bytes": usage.memory_limit_bytes,
        "memory_share": usage.memory_share,
        "network_receive_bytes_per_s": usage.network_receive_bytes_per_s,
        "network_transmit_bytes_per_s": usage.network_transmit_bytes_per_s,
        "disk_read_bytes_per_s": usage.disk_read_bytes_per_s,
        "disk_write_bytes_per_s": usage.disk_write_bytes_per_s,
    }


def _over(item: Resource | ResourceGroup, times: Sequence[str]) -> Json:
    return {
        "now": usage_document(item.now),
        "mean": usage_document(item.mean),
        "points": [{"time": time, **usage_document(step)} for time, step in zip(times, item.steps, strict=True)],
    }


def _resource(item: Resource, times: Sequence[str]) -> Json:
    identity, owner = item.identity, item.owner
    return {
        "kind": identity.kind,
        "id": identity.id,
        "name": identity.name,
        "host": identity.host,
        "image": identity.image,
        "compose_project": identity.compose_project,
        "compose_service": identity.compose_service,
        "k8s_namespace": identity.k8s_namespace,
        "k8s_pod": identity.k8s_pod,
        "service": owner.service,
        "instance": owner.instance,
        "environment": owner.environment,
        "matched_by": owner.matched_by,
        "state": item.state.value,
        "reported_state": item.reported_state,
        "last_seen": rfc_3339(item.last_seen_s),
        "restarts": item.restarts,
        "new_restarts": item.new_restarts,
        "oom_kills": item.oom_kills,
        "new_oom_kills": item.new_oom_kills,
        **_over(item, times),
    }


def _group(group: ResourceGroup, times: Sequence[str]) -> Json:
    counts = {"resource_count": group.resource_count, "live_count": group.live_count}
    return {"name": group.name, **counts, **_over(group, times)}


def _judged(item: ServiceVerdicts) -> Json:
    verdicts = [
        {
            "kind": verdict.kind.value,
            "status": verdict.status.value,
            "value": verdict.value,
            "threshold": verdict.threshold,
            "evidence": verdict.evidence,
            "resource": verdict.resource,
        }
        for verdict in item.verdicts
    ]
    return {"service": item.service, "verdicts": verdicts}


def _traffic(traffic: ServiceResources) -> Json:
    points = [
        {
            "time": rfc_3339(step.time_s),
            "calls": step.calls,
            "p99_s": step.p99_s,
            "calls_per_cpu_s": step.calls_per_cpu_s,
            "largest_memory_share": step.memory_share,
            **usage_document(step.usage),
        }
        for step in traffic.steps
    ]
    return {
        "memory_left_s": traffic.memory_left_s,
        "calls_per_cpu_s": traffic.calls_per_cpu_s,
        "points": points,
    }


def _instance(seen: SeenInstance) -> Json:
    instance = seen.instance
    return {
        "service": instance.service_name,
        "instance": instance.name,
        "version": instance.service_version,
        "environment": instance.deployment_environment,
        "host": instance.host_name,
        "pid": instance.process_pid,
        "container_id": instance.container_id,
        "container_name": instance.container_name,
        "k8s_namespace": instance.k8s_namespace,
        "k8s_pod": instance.k8s_pod,
        "k8s_container": instance.k8s_container,
        "sdk_language": instance.sdk_language,
        "sdk_version": instance.sdk_version,
        "first_seen": rfc_3339(seen.first_seen_s),
        "last_seen": rfc_3339(seen.last_seen_s),
    }
