"""The files of a cgroup, v1 and v2, as a `Usage` and as limits.

Used for the container that this process runs in, and for the limits of watched processes. Files are read through a
function, so that the reading of them is pure (kernel documentation, "cgroup-v1" and "cgroup-v2").
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from pathlib import Path, PurePosixPath
from typing import Final

from container_stats.usage import Memory, Throttling, Usage

ReadFile = Callable[[str], str | None]
"""Return the text of a file of the cgroup by its name, `None` if it is not there or may not be read."""

CGROUPS: Final = Path("/sys/fs/cgroup")

_CONTAINER_ID: Final = re.compile(r"(?:^|[/:-])([0-9a-f]{64})(?:\.scope)?(?:/|$)")
_MOUNTED_ID: Final = re.compile(r"/(?:\w+-)?containers/([0-9a-f]{64})/")
_NO_LIMIT: Final = 2**60
"""v1 writes the largest number of pages for "no limit", which depends on the machine."""


def container_id_of(cgroup_text: str) -> str | None:
    """Return the id of the container that `/proc/PID/cgroup` names, if any."""
    for line in cgroup_text.splitlines():
        found = _CONTAINER_ID.search(line.split(":", 2)[-1])
        if found:
            return found[1]
    return None


def container_id_of_mounts(mountinfo_text: str) -> str | None:
    """Return the id that the mounts of `/proc/self/mountinfo` betray, where the cgroup namespace hides it."""
    found = _MOUNTED_ID.search(mountinfo_text)
    return found[1] if found else None


def folders_of(cgroup_text: str, root: Path = CGROUPS) -> Mapping[str, Sequence[Path]]:
    """Return the folders of a process's cgroup by controller, each with its parents; "" is that of v2.

    Seen from inside a container the path names folders of the host that are not there; the mounted root is the cgroup.
    """
    folders: dict[str, Sequence[Path]] = {}
    for line in cgroup_text.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not path.startswith("/") or "=" in controllers:
            continue
        for controller in controllers.split(","):
            base = root / controller if controller else root
            below = PurePosixPath(path.lstrip("/"))
            nested = [base / below, *(base / parent for parent in below.parents)] if below.parts else [base]
            folders[controller] = [folder for folder in dict.fromkeys(nested) if folder.is_dir()]
    return folders


def reader_of(folders: Mapping[str, Sequence[Path]]) -> ReadFile:
    """Return a function that reads files of the innermost folders, whichever controller has them."""

    def read(name: str) -> str | None:
        for of_controller in folders.values():
            text = read_text(of_controller[0] / name) if of_controller else None
            if text is not None:
                return text
        return None

    return read


def cpu_quota(folders: Mapping[str, Sequence[Path]]) -> float | None:
    """Return the lowest quota in cores of a cgroup and those above it; `None` without one."""
    return min((quota for quota, _ in _quotas(folders)), default=None)


def quota_throttling(folders: Mapping[str, Sequence[Path]]) -> Throttling | None:
    """Return how often the lowest quota was used up, which its own cgroup tells; `None` without one."""
    _, folder = min(_quotas(folders), key=itemgetter(0), default=(0.0, None))
    return _throttling(_table(read_text(folder / "cpu.stat"))) if folder is not None else None


def memory_limit(folders: Mapping[str, Sequence[Path]]) -> int | None:
    """Return the lowest limit in bytes of a cgroup and those above it; `None` without one."""
    limits = [_limit(read_text(folder / "memory.max")) for folder in folders.get("", ())]
    limits += [_limit(read_text(folder / "memory.limit_in_bytes")) for folder in folders.get("memory", ())]
    return min((limit for limit in limits if limit), default=None)


def usage_of_cgroup(read: ReadFile, now_unix_nano: int, host_memory_bytes: int, cpus: int) -> Usage | None:
    """Return what a cgroup has used; `None` if its CPU time cannot be read."""
    if read("cpu.stat") is not None and "usage_usec" in (read("cpu.stat") or ""):
        return _usage_v2(read, now_unix_nano, host_memory_bytes, cpus)
    cpu_ns = _count(read("cpuacct.usage"))
    return _usage_v1(read, cpu_ns, now_unix_nano, host_memory_bytes, cpus) if cpu_ns is not None else None


def read_text(path: Path) -> str | None:
    """Return a small file's text, `None` if it is not there or may not be read."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return None


def _usage_v2(read: ReadFile, now_unix_nano: int, host_memory_bytes: int, cpus: int) -> Usage:
    cpu, memory = _table(read("cpu.stat")), _table(read("memory.stat"))
    current = _count(read("memory.current"))
    return Usage(
        time_unix_nano=now_unix_nano,
        cpu_ns=cpu["usage_usec"] * 1000,
        online_cpus=cpus,
        throttling=_throttling(cpu),
        memory=Memory(
            usage=current,
            limit=min(_limit(read("memory.max")) or host_memory_bytes, host_memory_bytes),
            inactive_file=memory.get("inactive_file"),
            rss=memory.get("anon"),
            file=memory.get("file"),
        )
        if current is not None
        else None,
        faults=_faults(memory, "pgfault", "pgmajfault"),
        disk=_io_stat(read("io.stat") or ""),
        pids=_count(read("pids.current")),
        pids_limit=_limit(read("pids.max")),
    )


def _usage_v1(read: ReadFile, cpu_ns: int, now_unix_nano: int, host_memory_bytes: int, cpus: int) -> Usage:
    cpu, memory = _table(read("cpu.stat")), _table(read("memory.stat"))
    current = _count(read("memory.usage_in_bytes"))
    return Usage(
        time_unix_nano=now_unix_nano,
        cpu_ns=cpu_ns,
        online_cpus=cpus,
        throttling=_throttling(cpu),
        memory=Memory(
            usage=current,
            limit=min(_limit(read("memory.limit_in_bytes")) or host_memory_bytes, host_memory_bytes),
            inactive_file=memory.get("total_inactive_file"),
            rss=memory.get("total_rss"),
            file=memory.get("total_cache"),
        )
        if current is not None
        else None,
        faults=_faults(memory, "total_pgfault", "total_pgmajfault"),
        disk=_service_bytes(read("blkio.throttle.io_service_bytes_recursive") or ""),
        pids=_count(read("pids.current")),
        pids_limit=_limit(read("pids.max")),
    )


def _throttling(cpu: Mapping[str, int]) -> Throttling | None:
    if "nr_periods" not in cpu:
        return None
    waited_ns = cpu.get("throttled_time", cpu.get("throttled_usec", 0) * 1000)
    return Throttling(cpu["nr_periods"], cpu.get("nr_throttled", 0), waited_ns)


def _table(text: str | None) -> dict[str, int]:
    pairs = (line.split() for line in (text or "").splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}


def _faults(memory: Mapping[str, int], every: str, major: str) -> tuple[int, int] | None:
    return (memory[every], memory[major]) if every in memory and major in memory else None


def _io_stat(text: str) -> dict[str, tuple[int, int]]:
    devices = {}
    for line in text.splitlines():
        device, *pairs = line.split()
        counts = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
        if counts.get("rbytes", "").isdecimal() and counts.get("wbytes", "").isdecimal():
            devices[device] = (int(counts["rbytes"]), int(counts["wbytes"]))
    return devices


def _service_bytes(text: str) -> dict[str, tuple[int, int]]:
    devices: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for line in text.splitlines():
        parts = line.split()
        if len(parts) == 3 and parts[1] in ("Read", "Write") and parts[2].isdecimal():
            devices[parts[0]][parts[1] == "Write"] += int(parts[2])
    return {device: (read, written) for device, (read, written) in devices.items()}


def _quotas(folders: Mapping[str, Sequence[Path]]) -> Iterator[tuple[float, Path]]:
    for folder in folders.get("", ()):
        if quota := _quota_v2(read_text(folder / "cpu.max")):
            yield quota, folder
    for folder in folders.get("cpu", ()):
        if quota := _quota_v1(read_text(folder / "cpu.cfs_quota_us"), read_text(folder / "cpu.cfs_period_us")):
            yield quota, folder


def _quota_v2(text: str | None) -> float | None:
    quota, _, period = (text or "").strip().partition(" ")
    return int(quota) / int(period) if quota.isdecimal() and period.isdecimal() and int(period) else None


def _quota_v1(quota: str | None, period: str | None) -> float | None:
    return int(quota or 0) / int(period) if _count(quota) and _count(period) else None  # type: ignore[arg-type]


def _limit(text: str | None) -> int | None:
    limit = _count(text)
    return limit if limit is not None and limit < _NO_LIMIT else None


def _count(text: str | None) -> int | None:
    text = (text or "").strip()
    return int(text) if text.isdecimal() else None
