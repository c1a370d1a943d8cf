"""What is sent of a process: read through psutil in one go, and told as readings.

What the system does not let this user see of another's process, such as its open files, is left out.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psutil

from container_stats import names
from container_stats.cgroups import (
    CGROUPS,
    container_id_of,
    cpu_quota,
    folders_of,
    memory_limit,
    quota_throttling,
    read_text,
)
from container_stats.process_lines import Place
from container_stats.readings import Attributes, Reading
from container_stats.usage import Throttling
from telemetry.conventions import MEASURED_BY

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class ProcessUsage:
    """Seconds, bytes and counts of one process at one moment; `None` where it may not be seen."""

    time_unix_nano: int
    user_s: float
    system_s: float
    rss: int
    virtual: int
    threads: int
    uss: int | None
    open_files: int | None
    switches: tuple[int, int] | None
    disk: tuple[int, int] | None
    cpu_limit: float
    memory_limit: int
    throttling: Throttling | None

    @property
    def cpu_s(self) -> float:
        return self.user_s + self.system_s


def read_process(process: psutil.Process, *, measure_uss: bool, host_memory_bytes: int) -> ProcessUsage:
    """Return what the process uses. Raises `psutil.Error` if it is gone or wholly out of sight."""
    cgroup_folders = folders_of(cgroup_text_of(process.pid), CGROUPS)
    with process.oneshot():
        cpu, memory = process.cpu_times(), process.memory_info()
        switches = _seen(process.num_ctx_switches)
        disk = _seen(process.io_counters) if hasattr(process, "io_counters") else None
        return ProcessUsage(
            time_unix_nano=time.time_ns(),
            user_s=cpu.user,
            system_s=cpu.system,
            rss=memory.rss,
            virtual=memory.vms,
            threads=process.num_threads(),
            uss=_seen(lambda: int(process.memory_full_info().uss)) if measure_uss else None,
            open_files=_seen(process.num_fds) if hasattr(process, "num_fds") else None,
            switches=(switches.voluntary, switches.involuntary) if switches else None,
            disk=(disk.read_bytes, disk.write_bytes) if disk else None,
            cpu_limit=_cpu_limit(process, cpu_quota(cgroup_folders)),
            memory_limit=min(memory_limit(cgroup_folders) or host_memory_bytes, host_memory_bytes),
            throttling=quota_throttling(cgroup_folders),
        )


def process_readings(
    usage: ProcessUsage,
    before: ProcessUsage | None,
    started_unix_nano: int,
    waited: tuple[int, int] | None = None,
    place: Place | None = None,
) -> Iterator[Reading]:
    """Yield what there is to send; `before` is the usage that utilization is told since.

    `waited` are the periods of the CPU quota since the process is watched, and those in which it was used up.
    """
    yield Reading("process.cpu.time", usage.user_s, ((names.CPU_MODE, "user"),))
    yield Reading("process.cpu.time", usage.system_s, ((names.CPU_MODE, "system"),))
    yield Reading("process.cpu.limit", usage.cpu_limit)
    elapsed_s = (usage.time_unix_nano - before.time_unix_nano) / 1e9 if before else 0.0
    if before and elapsed_s > 0:
        used_s = max(usage.cpu_s - before.cpu_s, 0.0)
        yield Reading("process.cpu.utilization", used_s / elapsed_s / usage.cpu_limit)
    if waited is not None:
        for metric, count in zip(("periods", "throttled_periods"), waited, strict=True):
            yield Reading(f"process.cpu.throttling_data.{metric}", count)
    yield Reading("process.memory.usage", usage.rss)
    yield Reading("process.memory.virtual", usage.virtual)
    yield Reading("process.memory.limit", usage.memory_limit)
    if usage.uss is not None:
        yield Reading("process.memory.uss", usage.uss)
    yield Reading("process.thread.count", usage.threads)
    if usage.open_files is not None:
        yield Reading("process.unix.file_descriptor.count", usage.open_files)
    if usage.switches is not None:
        for kind, count in zip(("voluntary", "involuntary"), usage.switches, strict=True):
            yield Reading("process.context_switches", count, ((names.SWITCH_TYPE, kind),))
    if usage.disk is not None:
        for direction, count in zip(("read", "write"), usage.disk, strict=True):
            yield Reading("process.disk.io", count, ((names.DISK_DIRECTION, direction),))
    yield Reading("process.uptime", max(usage.time_unix_nano - started_unix_nano, 0) / 1e9)
    if place is not None:
        yield Reading("process.restarts", int(place.is_restart), ((names.PROCESS_LINE, str(place.line)),))


def process_resource(
    process: psutil.Process, host_name: str, container_id: str | None, service: Attributes
) -> Attributes:
    """Return the attributes that tell this process from all others. Raises `psutil.Error` if it is gone."""
    with process.oneshot():
        executable = os.path.basename(_seen(process.exe) or "") or process.name()
        created = time.gmtime(process.create_time())
        return (
            (names.HOST_NAME, host_name),
            (names.PROCESS_PID, process.pid),
            (names.PROCESS_PARENT_PID, process.ppid()),
            (names.PROCESS_EXECUTABLE_NAME, executable),
            (names.PROCESS_CREATION_TIME, time.strftime("%Y-%m-%dT%H:%M:%SZ", created)),
            *(((names.CONTAINER_ID, container_id),) if container_id else ()),
            *service,
            (MEASURED_BY, names.SCOPE),
        )


def cgroup_text_of(pid: int) -> str:
    """Return what `/proc/PID/cgroup` says, nothing where there is none."""
    return read_text(Path(f"/proc/{pid}/cgroup")) or ""


def container_of(pid: int) -> str | None:
    """Return the id of the container that a process runs in, if its cgroup names one."""
    return container_id_of(cgroup_text_of(pid))


def _cpu_limit(process: psutil.Process, quota: float | None) -> float:
    affinity = _seen(process.cpu_affinity) if hasattr(process, "cpu_affinity") else None
    cpus = float(len(affinity) if affinity else os.cpu_count() or 1)
    return min(quota, cpus) if quota else cpus


def _seen(read: Callable[[], Value]) -> Value | None:
    try:
        return read()
    except (psutil.AccessDenied, OSError):
        return None
