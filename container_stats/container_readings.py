"""What is sent of a container: from what is known of it and what it used; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from container_stats import names
from container_stats.container_info import ContainerInfo, Limits
from container_stats.readings import Attributes, Reading
from container_stats.usage import Memory, Usage, cores_between


def resource_of(info: ContainerInfo, host_name: str, runtime: str) -> Attributes:
    """Return the attributes that tell this container from all others."""
    tags: Attributes = ((names.CONTAINER_IMAGE_TAGS, (info.image_tag,)),) if info.image_tag else ()
    return (
        (names.HOST_NAME, host_name),
        (names.CONTAINER_ID, info.id),
        (names.CONTAINER_NAME, info.name),
        (names.CONTAINER_IMAGE_NAME, info.image_name),
        *tags,
        (names.CONTAINER_RUNTIME_NAME, runtime),
        (names.CONTAINER_RUNTIME, runtime),
        *((names.CONTAINER_LABEL_PREFIX + name, value) for name, value in info.labels),
    )


def state_readings(
    info: ContainerInfo, states: Iterable[str], healths: Iterable[str], oom_kills: int, now_unix_nano: int
) -> Iterator[Reading]:
    """Yield what can be told of any container. `states` and `healths` are those that it was in so far."""
    for state in sorted({*states, info.state}):
        yield Reading(names.CONTAINER_STATE, int(state == info.state), ((names.CONTAINER_STATE, state),))
    for health in sorted({*healths, *filter(None, (info.health,))}):
        yield Reading(names.CONTAINER_HEALTH, int(health == info.health), ((names.CONTAINER_HEALTH, health),))
    yield Reading("container.restarts", info.restarts)
    yield Reading("container.memory.oom_kills", oom_kills)
    if info.has_processes and info.started_unix_nano is not None:
        yield Reading("container.uptime", max(now_unix_nano - info.started_unix_nano, 0) / 1e9)
    if info.state in ("exited", "dead"):
        yield Reading("container.exit_code", info.exit_code)


def usage_readings(usage: Usage, before: Usage | None, limits: Limits) -> Iterator[Reading]:
    """Yield what can be told of a container that runs. `before` is the usage that cores are told since."""
    yield Reading("container.cpu.time", usage.cpu_ns / 1e9)
    yield from _cpu(usage, before, limits)
    if usage.memory is not None:
        yield from _memory(usage.memory, has_limit=limits.memory_bytes is not None)
    if usage.faults is not None:
        every, major = usage.faults
        yield Reading("container.paging.faults", max(every - major, 0), ((names.FAULT_TYPE, "minor"),))
        yield Reading("container.paging.faults", major, ((names.FAULT_TYPE, "major"),))
    for interface, (received, sent) in sorted(usage.network.items()):
        for direction, count in (("receive", received), ("transmit", sent)):
            attributes = ((names.NETWORK_DIRECTION, direction), (names.NETWORK_INTERFACE, interface))
            yield Reading("container.network.io", count, attributes)
    for device, (read, written) in sorted(usage.disk.items()):
        for direction, count in (("read", read), ("write", written)):
            yield Reading("container.disk.io", count, ((names.DISK_DIRECTION, direction), (names.DISK_DEVICE, device)))
    if usage.pids is not None:
        yield Reading("container.pids.count", usage.pids)
    if usage.pids_limit is not None:
        yield Reading("container.pids.limit", usage.pids_limit)


def _cpu(usage: Usage, before: Usage | None, limits: Limits) -> Iterator[Reading]:
    cpus = limits.cpu_set_size or usage.online_cpus
    effective = min((value for value in (limits.cores, cpus) if value), default=None)
    if limits.cores is not None:
        yield Reading("container.cpu.limit", float(limits.cores))
    if cpus is not None:
        yield Reading("container.cpu.logical.count", cpus)
    cores = cores_between(before, usage) if before else None
    if cores is not None:
        yield Reading("container.cpu.usage", cores)
        if effective:
            yield Reading("container.cpu.limit_utilization", cores / effective)
    if usage.throttling is not None:
        prefix = "container.cpu.throttling_data."
        yield Reading(f"{prefix}periods", usage.throttling.periods)
        yield Reading(f"{prefix}throttled_periods", usage.throttling.throttled_periods)
        yield Reading(f"{prefix}throttled_time", usage.throttling.throttled_ns)


def _memory(memory: Memory, *, has_limit: bool) -> Iterator[Reading]:
    yield Reading("container.memory.usage", memory.usage)
    yield Reading("container.memory.working_set", memory.working_set)
    if memory.rss is not None:
        yield Reading("container.memory.rss", memory.rss)
    if memory.file is not None:
        yield Reading("container.memory.file", memory.file)
    if memory.limit:
        yield Reading("container.memory.usage.limit", memory.limit)
        yield Reading("container.memory.limit_utilization", memory.working_set / memory.limit)
    if has_limit and memory.limit:
        yield Reading("container.memory.available", max(memory.limit - memory.working_set, 0))
