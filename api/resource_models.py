"""The shapes of the answers about resources, as OpenAPI shows them.

`api/resource_documents.py` fills them; CPU is in cores, shares are 0 to 1, times are RFC 3339 in UTC.
"""

from __future__ import annotations

from pydantic import Field

from api.models import Count, Document, NextCursor, Seconds, Time
from query import ResourceState, Status, VerdictKind
from query.resources.answers import Match, ResourceKind

Amount = float | None


class Usage(Document):
    """What was used, on average. `null` is not known, which is never the same as 0."""

    cpu_cores: Amount = Field(description="CPU in cores: seconds of CPU time per second.")
    cpu_limit_cores: Amount = Field(description="The limit of its own, or else the CPUs that there are.")
    cpu_share: Amount = Field(description="cpu_cores / cpu_limit_cores.")
    throttled_share: Amount = Field(description="Share of the periods of a CPU quota in which it was used up.")
    memory_bytes: Amount = Field(description="Working set of a container, resident memory of a process.")
    memory_limit_bytes: Amount = Field(description="The limit of its own, or else the memory of the host.")
    memory_share: Amount = Field(description="memory_bytes / memory_limit_bytes.")
    network_receive_bytes_per_s: Amount
    network_transmit_bytes_per_s: Amount
    disk_read_bytes_per_s: Amount
    disk_write_bytes_per_s: Amount


class UsagePoint(Usage):
    """The step that begins at `time`."""

    time: Time


class Over(Document):
    now: Usage = Field(description="What was known last of what is live, or lately; all `null` otherwise.")
    mean: Usage = Field(description="Over the whole time of the answer.")
    points: list[UsagePoint] = Field(description="One for every step.")


class ResourceFound(Over):
    """A container or process, and whose it is."""

    kind: ResourceKind
    id: str = Field(description="Container id, `namespace/pod/container` or `host:pid`.")
    name: str
    host: str
    image: str
    compose_project: str
    compose_service: str
    k8s_namespace: str
    k8s_pod: str
    service: str = Field(description="Empty, as the next three, if it is not known to belong to a watched service.")
    instance: str
    environment: str
    matched_by: Match = Field(description="What tells that it belongs to the service.")
    state: ResourceState
    reported_state: str = Field(description="The engine's own word, such as `running` or `exited`; empty if not told.")
    last_seen: Time = Field(description="When it was measured last.")
    restarts: Count | None = Field(
        description="As the engine counts them since the container was made; of a process 1 if it took the place of "
        "one that ended."
    )
    new_restarts: Count | None = Field(description="How many of them in the time of the answer.")
    oom_kills: Count | None = Field(description="Times that the kernel ended a process of it for want of memory.")
    new_oom_kills: Count | None


class Group(Over):
    """Resources added up; the CPUs and the memory of a host count once."""

    name: str = Field(description="Empty for what has no name of this kind.")
    resource_count: Count
    live_count: Count


class VerdictFound(Document):
    """What one rule finds, with its evidence."""

    kind: VerdictKind
    status: Status = Field(description="`degraded` or `critical` if it is a bottleneck.")
    value: Amount = Field(description="A share, cores, or for a leak the seconds left.")
    threshold: Amount
    evidence: str = Field(examples=["web-1 uses 1.92 of 2 cores (96 %) over the last 5 minutes, ..."])
    resource: str = Field(description="The name of the container or process that it is about.")


class ServiceJudged(Document):
    """The verdicts on one service, the worst first, judged now, by the last hour."""

    service: str
    verdicts: list[VerdictFound]


class TrafficPoint(UsagePoint):
    """The resources of the service added up, beside its traffic."""

    calls: Count
    p99_s: Seconds | None
    calls_per_cpu_s: Seconds | None = Field(
        description="Requests for each second of CPU time; `null` without any, and while the step is not over."
    )
    largest_memory_share: Amount = Field(description="Of the resource that is nearest to its limit.")


class Traffic(Document):
    """Requests and resources on one time axis."""

    memory_left_s: Seconds | None = Field(
        description="Seconds until memory reaches its limit at the slope of the last hour; `null` if it does not grow."
    )
    calls_per_cpu_s: Seconds | None = Field(description="Over all steps that are over.")
    points: list[TrafficPoint]


class Resources(Document):
    """Containers and processes from `start` to before `end` in steps of `step_s` seconds."""

    start: Time
    end: Time
    step_s: int = Field(ge=1)
    is_complete: bool = Field(description="Whether all are there; beyond the limit those that use least are left out.")
    items: list[ResourceFound]
    next_cursor: NextCursor
    groups: list[Group] = Field(description="The same added up by `group_by`; none for `resource`.")
    services: list[ServiceJudged]
    traffic: Traffic | None = Field(description="Only when asked about one service.")


class InstanceFound(Document):
    """One process of a service, as its resource attributes name it; empty text where they do not."""

    service: str
    instance: str = Field(description="`service.instance.id`, or else host and pid.")
    version: str
    environment: str
    host: str
    pid: str
    container_id: str
    container_name: str
    k8s_namespace: str
    k8s_pod: str
    k8s_container: str
    sdk_language: str
    sdk_version: str
    first_seen: Time
    last_seen: Time = Field(description="When something came of it last, to half a minute.")


class Instances(Document):
    """The instances of services that were heard of since `since`, the latest first."""

    since: Time
    items: list[InstanceFound]
    next_cursor: NextCursor
