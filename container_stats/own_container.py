"""The container that this process itself runs in, read from its own cgroup where no engine can be asked."""

from __future__ import annotations

import os
import time
from pathlib import Path

import psutil

from container_stats import names
from container_stats.cgroups import (
    container_id_of,
    container_id_of_mounts,
    cpu_quota,
    folders_of,
    memory_limit,
    read_text,
    reader_of,
    usage_of_cgroup,
)
from container_stats.container_info import Limits
from container_stats.container_readings import usage_readings
from container_stats.readings import Reading, Subject
from container_stats.usage import Usage

PROC: Path = Path("/proc")


def own_container_id(proc: Path = PROC) -> str | None:
    """Return the id of the container around this process; `None` outside of one, or if nothing tells it."""
    in_cgroup = container_id_of(read_text(proc / "self/cgroup") or "")
    return in_cgroup or container_id_of_mounts(read_text(proc / "self/mountinfo") or "")


class OwnContainer:
    """Remembers the usage that cores are told since. Without a container it yields nothing."""

    def __init__(self, container_id: str | None, host_name: str, cgroups: Path = Path("/sys/fs/cgroup")) -> None:
        self._container_id = container_id
        self._host_name = host_name
        self._cgroups = cgroups
        self._before: Usage | None = None
        self._host_memory_bytes = psutil.virtual_memory().total
        self._started_unix_nano = _started_unix_nano()

    def read(self) -> list[Subject]:
        """Return what there is to send now."""
        if self._container_id is None:
            return []
        folders = folders_of(read_text(PROC / "self/cgroup") or "", self._cgroups)
        cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        usage = usage_of_cgroup(reader_of(folders), time.time_ns(), self._host_memory_bytes, cpus)
        if usage is None:
            return []
        limits = Limits(cpu_quota(folders), None, memory_limit(folders))
        readings = list(usage_readings(usage, self._before, limits))
        uptime_s = max(usage.time_unix_nano - self._started_unix_nano, 0) / 1e9
        readings += [
            Reading("container.uptime", uptime_s),
            Reading(names.CONTAINER_STATE, 1, ((names.CONTAINER_STATE, "running"),)),
        ]
        self._before = usage
        resource = (
            (names.HOST_NAME, self._host_name),
            (names.CONTAINER_ID, self._container_id),
            (names.CONTAINER_NAME, self._host_name),
        )
        return [Subject(resource, readings, usage.time_unix_nano, self._started_unix_nano)]


def _started_unix_nano() -> int:
    """Return when the container's first process was made; when this one was, where the first may not be seen."""
    try:
        return int(psutil.Process(1).create_time() * 1e9)
    except psutil.Error:
        return int(psutil.Process().create_time() * 1e9)
