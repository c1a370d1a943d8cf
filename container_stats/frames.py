"""A frame of the engine's stats stream as a `Usage`; pure.

Read in the way of the Docker Engine API, "Get container stats", for cgroup v1 and v2 and for Podman's imitation of it.
Frames come from outside: whatever is missing, null or of another type counts as not told.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from container_stats.engine_times import unix_nano_of
from container_stats.usage import Memory, Throttling, Usage


def usage_of_frame(frame: object) -> Usage | None:
    """Return what a frame tells; `None` if it tells nothing, as those of stopped containers do."""
    frame = _mapping(frame)
    return _usage(frame, unix_nano_of(frame.get("read")), _mapping(frame.get("cpu_stats")))


def usage_before_frame(frame: object) -> Usage | None:
    """Return what the frame says of the one before it: CPU time only, one second earlier (Podman: five)."""
    frame = _mapping(frame)
    cpu = _mapping(frame.get("precpu_stats"))
    time_unix_nano, cpu_ns = unix_nano_of(frame.get("preread")), _count(_mapping(cpu.get("cpu_usage")), "total_usage")
    # A container without any CPU time has not run yet: before the first frame engines write zeros.
    return Usage(time_unix_nano, cpu_ns) if time_unix_nano and cpu_ns else None


def _usage(frame: Mapping[str, Any], time_unix_nano: int | None, cpu: Mapping[str, Any]) -> Usage | None:
    cpu_usage = _mapping(cpu.get("cpu_usage"))
    cpu_ns = _count(cpu_usage, "total_usage")
    if time_unix_nano is None or cpu_ns is None:
        return None
    memory_stats = _mapping(frame.get("memory_stats"))
    pids = _mapping(frame.get("pids_stats"))
    per_cpu = cpu_usage.get("percpu_usage")
    return Usage(
        time_unix_nano=time_unix_nano,
        cpu_ns=cpu_ns,
        online_cpus=_count(cpu, "online_cpus") or (len(per_cpu) if isinstance(per_cpu, list) and per_cpu else None),
        throttling=_throttling(cpu),
        memory=_memory(memory_stats),
        faults=_faults(_mapping(memory_stats.get("stats"))),
        network=_network(_mapping(frame.get("networks"))),
        disk=_disk(_mapping(frame.get("blkio_stats"))),
        pids=_count(pids, "current"),
        pids_limit=_limit(pids),
    )


def _throttling(cpu: Mapping[str, Any]) -> Throttling | None:
    if "cpu" in cpu:
        return None  # Podman (libpod 4 and 5), which marks its frames so, and writes zeros that nobody measured
    data = _mapping(cpu.get("throttling_data"))
    counts = [_count(data, name) for name in ("periods", "throttled_periods", "throttled_time")]
    if None in counts:
        return None
    return Throttling(*(count for count in counts if count is not None))


def _memory(memory: Mapping[str, Any]) -> Memory | None:
    usage = _count(memory, "usage")
    if usage is None:
        return None
    stats = _mapping(memory.get("stats"))
    # v1 has totals with those of cgroups below it beside its own; v2 counts those below always, under the plain name.
    return Memory(
        usage=usage,
        limit=_count(memory, "limit") or None,
        inactive_file=_first(stats, "total_inactive_file", "inactive_file"),
        rss=_first(stats, "total_rss", "anon"),
        file=_first(stats, "total_cache", "file"),
    )


def _faults(stats: Mapping[str, Any]) -> tuple[int, int] | None:
    every, major = _first(stats, "total_pgfault", "pgfault"), _first(stats, "total_pgmajfault", "pgmajfault")
    return (every, major) if every is not None and major is not None else None


def _network(networks: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    return dict(_interfaces(networks))


def _interfaces(networks: Mapping[str, Any]) -> Iterator[tuple[str, tuple[int, int]]]:
    for name, counts in networks.items():
        received, sent = _count(_mapping(counts), "rx_bytes"), _count(_mapping(counts), "tx_bytes")
        if received is not None and sent is not None:
            yield name, (received, sent)


def _disk(blkio: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    entries = blkio.get("io_service_bytes_recursive")
    devices: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for entry in map(_mapping, entries if isinstance(entries, list) else ()):
        operation, count = str(entry.get("op")).lower(), _count(entry, "value")
        if operation in ("read", "write") and count is not None:  # the others are sums and parts of these
            devices[f"{entry.get('major')}:{entry.get('minor')}"][operation == "write"] += count
    return {device: (read, written) for device, (read, written) in devices.items()}


def _limit(pids: Mapping[str, Any]) -> int | None:
    limit = _count(pids, "limit")
    return limit if limit and limit < 2**63 - 1 else None  # "no limit" is 0, or as much as fits


def _first(values: Mapping[str, Any], *names: str) -> int | None:
    return next((count for name in names if (count := _count(values, name)) is not None), None)


def _count(values: Mapping[str, Any], name: str) -> int | None:
    value = values.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63 else None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
