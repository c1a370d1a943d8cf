"""The id of the container that this process runs in, from what the kernel shows of it.

Control groups of version 1 name it. Version 2 hides it within the container, where only the files that the container
engine mounts from its own folder of the container (`/etc/hostname` and the like) still do.
"""

from __future__ import annotations

import re
from pathlib import Path

_ID = "[0-9a-f]{64}"
_IN_CGROUP = re.compile(rf"[/:-](?:[a-z]+-)?({_ID})(?:\.scope)?$")
_IN_MOUNT = re.compile(rf"/(?:containers|overlay-containers|vfs-containers)/({_ID})/")
"""Docker's and Podman's folders. Kubernetes mounts from the folder of the pod's sandbox, whose id is another."""


def container_id(proc: Path = Path("/proc/self")) -> str | None:
    """Return the 64 hexadecimal digits of the container's id, None outside of containers or where it is hidden."""
    return _in_cgroup(_lines(proc / "cgroup")) or _in_mounts(_lines(proc / "mountinfo"))


def _in_cgroup(lines: list[str]) -> str | None:
    for line in lines:
        if match := _IN_CGROUP.search(line):
            return match.group(1)
    return None


def _in_mounts(lines: list[str]) -> str | None:
    """Look at the roots of mounts, the fourth field (proc_pid_mountinfo(5)), for a container's own folder."""
    for line in lines:
        fields = line.split(" ")
        is_of_engine = len(fields) > 4 and fields[4] in ("/etc/hostname", "/etc/hosts", "/etc/resolv.conf")
        if is_of_engine and (match := _IN_MOUNT.search(fields[3])):
            return match.group(1)
    return None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:
        return []
