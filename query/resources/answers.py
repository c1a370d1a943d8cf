"""The answers about resources, as plain values: CPU in cores, sizes in bytes, shares 0 to 1, times in Unix seconds.

Made by `query/resources/component.py`; pages, API and alerts show them and never compute a figure of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from query.answers import Status
from telemetry import SeenInstance

ResourceKind = Literal["container", "process"]
ResourceGrouping = Literal["resource", "service", "image", "compose_project", "host"]
Match = Literal[
    "container.id", "k8s pod", "container.name", "host.name", "process.pid", "service.instance.id", "name", ""
]
"""By what a resource was joined to its service; empty if it was not."""


class ResourceState(StrEnum):
    """Whether a resource runs, as far as it is known."""

    LIVE = "live"
    STALE = "stale"
    """Nothing was heard of it lately, nor of others by the same way: whoever reports may be at fault."""
    STOPPED = "stopped"
    """It was said to have stopped, or its reporter goes on without it."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What was used over some time, on average. `None` is not known, which is never the same as 0."""

    cpu_cores: float | None = None
    cpu_limit_cores: float | None = None
    """What it may use: its own limit, or else the CPUs that there are."""
    periods_per_s: float | None = None
    """How often a CPU quota counted, and how often it was used up."""
    throttled_per_s: float | None = None
    memory_bytes: float | None = None
    """The working set of a container, the resident memory of a process."""
    memory_limit_bytes: float | None = None
    network_receive_bytes_per_s: float | None = None
    network_transmit_bytes_per_s: float | None = None
    disk_read_bytes_per_s: float | None = None
    disk_write_bytes_per_s: float | None = None

    @property
    def cpu_share(self) -> float | None:
        """CPU as share of what it may use."""
        return _share(self.cpu_cores, self.cpu_limit_cores)

    @property
    def throttled_share(self) -> float | None:
        """The share of periods in which the quota was used up; without a quota there are no periods."""
        return _share(self.throttled_per_s, self.periods_per_s)

    @property
    def memory_share(self) -> float | None:
        """Memory as share of its limit."""
        return _share(self.memory_bytes, self.memory_limit_bytes)


def _share(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None


@dataclass(frozen=True, slots=True)
class ResourceIdentity:
    """What a container or process is called, and where it runs; what is not known is the empty string."""

    kind: ResourceKind
    id: str
    """Container id, `pod/container` or `host:pid`; unique among the resources of an answer."""
    name: str
    host: str = ""
    container_id: str = ""
    container_name: str = ""
    image: str = ""
    compose_project: str = ""
    compose_service: str = ""
    k8s_namespace: str = ""
    k8s_pod: str = ""
    k8s_container: str = ""
    pid: str = ""
    reported_service: str = ""
    """The service that the metrics themselves name, and its instance."""
    reported_instance: str = ""
    line: str = ""
    """Processes that took each other's place have it in common, where their reporter tells."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a resource is: the service, its instance, its environment, and by what that is known."""

    service: str = ""
    instance: str = ""
    environment: str = ""
    matched_by: Match = ""


@dataclass(frozen=True, slots=True)
class Resource:
    """A container or process over the time asked about.

    `now` is what was known last, if that is not long ago; `mean` is over the whole time. `steps` has one entry for each
    step of the answer. `restarts` and `oom_kills` are totals as the reporter counts them, `new_...` how many of them
    came in the time asked about.
    """

    identity: ResourceIdentity
    owner: Owner
    state: ResourceState
    reported_state: str
    """The engine's own word, such as `running`, `paused` or `exited`; empty if it is not told."""
    last_seen_s: int
    now: Usage
    mean: Usage
    steps: tuple[Usage, ...]
    restarts: int | None
    new_restarts: int | None
    oom_kills: int | None
    new_oom_kills: int | None


@dataclass(frozen=True, slots=True)
class ResourceGroup:
    """Resources added up. Limits are added too, where they are limits of their own and not one host's for all."""

    name: str
    resource_count: int
    live_count: int
    now: Usage
    mean: Usage
    steps: tuple[Usage, ...]


@dataclass(frozen=True, slots=True)
class ResourcesAnswer:
    """Containers and processes, by service, name and id, in steps of `step_s` seconds from `start_s` on.

    `groups` are the same added up by what was asked for, by name; empty for the grouping `resource`. `is_complete`
    unless there were more than an answer holds: then those that use the least are left out, also of the groups.
    """

    start_s: int
    end_s: int
    step_s: int
    items: tuple[Resource, ...]
    groups: tuple[ResourceGroup, ...]
    is_complete: bool


@dataclass(frozen=True, slots=True)
class InstancesAnswer:
    """The instances of services that were heard of since `since_s`, the latest first."""

    since_s: int
    items: tuple[SeenInstance, ...]


class VerdictKind(StrEnum):
    """What the resources of a service say about it; `docs/bottlenecks.md` has the rules."""

    CPU_BOUND = "cpu_bound"
    THROTTLED = "throttled"
    MEMORY_NEAR_LIMIT = "memory_near_limit"
    MEMORY_LEAKING = "memory_leaking"
    IDLE_CAPACITY = "idle_capacity"
    UNREMARKABLE = "unremarkable"
    NOT_ENOUGH_DATA = "not_enough_data"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One rule's finding with its evidence. `status` is that of a problem; what is no problem is `HEALTHY`.

    `value` and `threshold` are in the rule's own unit: a share, or seconds left for a leak; `None` without data.
    """

    kind: VerdictKind
    status: Status
    value: float | None
    threshold: float | None
    evidence: str
    resource: str
    """The name of the container or process that it is about; empty if it is about none."""

    @property
    def is_problem(self) -> bool:
        """Whether this is a bottleneck."""
        return self.status in (Status.DEGRADED, Status.CRITICAL)


@dataclass(frozen=True, slots=True)
class ServiceVerdicts:
    """What is to be said of the resources of a service: the worst first, at least one."""

    service: str
    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True, slots=True)
class VerdictsAnswer:
    """The verdicts on every service that is known, by name, judged at `end_s`."""

    end_s: int
    items: tuple[ServiceVerdicts, ...]

    def of(self, service: str) -> tuple[Verdict, ...]:
        """Return the verdicts on a service; none if it is not known."""
        return next((item.verdicts for item in self.items if item.service == service), ())


@dataclass(frozen=True, slots=True)
class ServiceStep:
    """A service's traffic and resources in the step that begins at `time_s`."""

    time_s: int
    calls: int
    p99_s: float | None
    usage: Usage
    calls_per_cpu_s: float | None
    """Requests per second of CPU time; `None` without requests, and while the step is not over."""
    memory_share: float | None
    """Of that container or process which is nearest to its limit."""


@dataclass(frozen=True, slots=True)
class ServiceResources:
    """A service's resources on the time axis of its traffic.

    `now` is what they use together at present. `calls_per_cpu_s` is over all steps that are over. `memory_left_s` is in
    how many seconds memory reaches its limit at the slope of the last hour; `None` if it does not grow or is not known.
    """

    service: str
    start_s: int
    end_s: int
    step_s: int
    resources: tuple[Resource, ...]
    now: Usage
    steps: tuple[ServiceStep, ...]
    calls_per_cpu_s: float | None
    verdicts: tuple[Verdict, ...]
    memory_left_s: float | None
