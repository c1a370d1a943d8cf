"""Finds the processes to watch, with their children, and reads them.

Asked by the sampler, in a thread, as every answer comes from files of `/proc`. A process is itself by its number and
the time of its creation: a number that is given out again is another process.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import psutil

from container_stats.process_lines import Place, ProcessKey, ProcessLines
from container_stats.process_readings import (
    ProcessUsage,
    container_of,
    process_readings,
    process_resource,
    read_process,
)
from container_stats.readings import Attributes, Subject
from container_stats.settings import ContainerSettings
from container_stats.usage import Throttling
from container_stats.watched_process import WatchedProcess
from telemetry.conventions import SERVICE_INSTANCE_ID

_CLOCK_SLACK_S = 1.0
"""Creation times are counted in ticks since a boot time that is rounded to seconds."""


@dataclass
class _Process:
    """A process as it was read last."""

    process: psutil.Process
    before: ProcessUsage | None = None
    first_throttling: Throttling | None = None

    def waited(self, throttling: Throttling | None) -> tuple[int, int] | None:
        """Return the periods since the first sample, and the throttled ones: a cgroup is older than its processes."""
        if throttling is None:
            return None
        first = self.first_throttling
        if first is None or throttling.periods < first.periods:  # it was moved to another cgroup
            first = self.first_throttling = throttling
        return throttling.periods - first.periods, throttling.throttled_periods - first.throttled_periods


class ProcessWatch:
    """Remembers between two samples what utilization is told since."""

    def __init__(self, settings: ContainerSettings, host_name: str, own_container_id: str | None) -> None:
        self._settings = settings
        self._host_name = host_name
        self._own_container_id = own_container_id
        self._patterns = [re.compile(pattern) for pattern in settings.process_commands]
        self._processes: dict[int, _Process] = {}
        self._mains: dict[ProcessKey, Attributes] = {}
        self._lines = ProcessLines()
        self._host_memory_bytes = psutil.virtual_memory().total

    @property
    def count(self) -> int:
        """How many processes were read last."""
        return len(self._processes)

    def read(self, watched: Sequence[WatchedProcess]) -> list[Subject]:
        """Return what there is to send now of all processes: those that are given, those configured, their children."""
        if not (watched or self._patterns or self._settings.process_pids):
            self._processes.clear()
            return []
        every = {process.pid: process for process in psutil.process_iter(["ppid"])}
        services = self._services(every, watched)
        found = islice(_with_children(every, services), self._settings.max_processes)
        places = self._places(every, services)
        subjects, processes = [], {}
        for process, service in found:
            known = self._processes.get(process.pid)
            entry = known if known and known.process == process else _Process(process)
            try:
                subjects.append(self._subject(entry, service, places))
            except psutil.Error:
                continue
            processes[process.pid] = entry
        self._processes = processes
        return subjects

    def _services(
        self, every: Mapping[int, psutil.Process], watched: Iterable[WatchedProcess]
    ) -> dict[int, Attributes | None]:
        """Return the service of each process that is to be watched by itself; `None` of those that are configured."""
        services: dict[int, Attributes | None] = {pid: None for pid in self._settings.process_pids if pid in every}
        services |= {pid: None for pid, process in every.items() if self._patterns and self._is_configured(process)}
        for candidate in sorted(watched, key=lambda one: one.last_seen_s):
            process = every.get(candidate.pid)
            if process is not None and self._is_it(process, candidate):
                services[candidate.pid] = candidate.attributes
        return services

    def _places(
        self, every: Mapping[int, psutil.Process], services: Mapping[int, Attributes | None]
    ) -> Mapping[ProcessKey, Place]:
        """Return the places of main processes: a worker is in its master's group, which replaces it as it sees fit."""
        mains = {key: group for key, group in self._mains.items() if _runs(every, key)}
        for pid, service in services.items():
            if service and _leads_its_group(pid) and (key := _key_of(every[pid])) is not None and _runs(every, key):
                mains[key] = tuple(pair for pair in service if pair[0] != SERVICE_INSTANCE_ID)
        self._mains = mains
        return self._lines.update(mains, time.time())

    def _is_configured(self, process: psutil.Process) -> bool:
        try:
            command = " ".join(process.cmdline())
        except psutil.Error:
            return False
        return any(pattern.search(command) for pattern in self._patterns)

    def _is_it(self, process: psutil.Process, candidate: WatchedProcess) -> bool:
        if candidate.host_name != self._host_name:
            return False
        try:
            if process.create_time() > candidate.last_seen_s + _CLOCK_SLACK_S:
                return False
        except psutil.Error:
            return False
        expected, actual = candidate.container_id, container_of(process.pid) or self._own_container_id or ""
        return not expected or expected[:12] == actual[:12]

    def _subject(self, entry: _Process, service: Attributes, places: Mapping[ProcessKey, Place]) -> Subject:
        process = entry.process
        if process.status() == psutil.STATUS_ZOMBIE:
            raise psutil.ZombieProcess(process.pid)
        started_unix_nano = int(process.create_time() * 1e9)
        measure_uss = self._settings.measure_uss
        usage = read_process(process, measure_uss=measure_uss, host_memory_bytes=self._host_memory_bytes)
        resource = process_resource(process, self._host_name, container_of(process.pid), service)
        waited, place = entry.waited(usage.throttling), places.get(ProcessKey(process.pid, process.create_time()))
        readings = list(process_readings(usage, entry.before, started_unix_nano, waited, place))
        entry.before = usage
        return Subject(resource, readings, usage.time_unix_nano, started_unix_nano)


def _key_of(process: psutil.Process) -> ProcessKey | None:
    try:
        return ProcessKey(process.pid, process.create_time())
    except psutil.Error:
        return None


def _runs(every: Mapping[int, psutil.Process], key: ProcessKey) -> bool:
    process = every.get(key.pid)
    if process is None or _key_of(process) != key:
        return False
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _leads_its_group(pid: int) -> bool:
    try:
        return os.getpgid(pid) == pid
    except (AttributeError, OSError):  # there are no groups on Windows
        return False


def _with_children(
    every: Mapping[int, psutil.Process], services: Mapping[int, Attributes | None]
) -> Iterator[tuple[psutil.Process, Attributes]]:
    """Yield the watched processes and all below them, the watched ones first, each with its nearest service."""
    children: dict[int, list[int]] = {}
    for process in every.values():
        children.setdefault(process.info["ppid"], []).append(process.pid)
    found = list(services)
    seen = set(services)
    for pid in found:  # grows meanwhile
        yield every[pid], _nearest_service(pid, every, services)
        new = [child for child in children.get(pid, ()) if child not in seen]
        seen.update(new)
        found += new


def _nearest_service(
    pid: int, every: Mapping[int, psutil.Process], services: Mapping[int, Attributes | None]
) -> Attributes:
    passed: set[int] = set()
    while pid in every and pid not in passed:
        service = services.get(pid)
        if service:
            return service
        passed.add(pid)
        pid = every[pid].info["ppid"]
    return ()
