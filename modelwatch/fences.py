"""Cgroups of the demo's model APIs: a CPU quota and a memory limit, as model servers have them in production.

Made where this user may make cgroups: root, and on cgroup v2 whoever has been given a part of the tree, as users of
systemd are. Elsewhere the demo goes without, and says so.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from container_stats.cgroups import CGROUPS, folders_of, read_text

PREFIX: Final = "modelwatch-demo-"
PERIOD_US: Final = 100_000
_REMOVAL_TRIES: Final = 20
_MOST_V1_SHARES: Final = 262_144
_MOST_V2_WEIGHT: Final = 10_000
_V1_FILES: Final = {"cpu": "cpu.cfs_quota_us", "memory": "memory.limit_in_bytes"}


@dataclass(frozen=True)
class Limits:
    """What one program may use; with all that it starts."""

    cpus: float
    memory_bytes: int
    is_guaranteed: bool = False
    """Whether it gets that much CPU also where others want it, as with requests that equal limits in Kubernetes."""


@dataclass(frozen=True)
class Fence:
    """The folders of a cgroup: one, or on cgroup v1 one for each controller."""

    folders: Sequence[Path]

    @property
    def entrances(self) -> Sequence[Path]:
        """The files by which a process that writes 0 to them enters."""
        return [folder / "cgroup.procs" for folder in self.folders]

    def remove(self) -> None:
        """Remove it once all processes in it have ended; one that has not may keep it, empty, until the next demo."""
        for folder in self.folders:
            for _ in range(_REMOVAL_TRIES):
                if _removed(folder):
                    break
                time.sleep(0.05)


def make_fence(name: str, limits: Limits, cgroup_text: str, root: Path = CGROUPS) -> Fence:
    """Make the cgroup beside or below the one that `cgroup_text` (`/proc/self/cgroup`) names. Raises `OSError`."""
    folders = folders_of(cgroup_text, root)
    own = f"{PREFIX}{os.getpid()}-{name}"
    of_v1 = {controller: next(iter(folders.get(controller, ())), None) for controller in _V1_FILES}
    if all(folder is not None and (folder / _V1_FILES[name]).exists() for name, folder in of_v1.items()):
        return _make_v1({controller: folder for controller, folder in of_v1.items() if folder}, own, limits)
    return _make_v2(folders.get("", ()), own, limits)


def _make_v1(above: Mapping[str, Path], own: str, limits: Limits) -> Fence:
    fence = Fence([_made(folder, own) for folder in above.values()])
    try:
        for folder in fence.folders:
            if (folder / _V1_FILES["cpu"]).exists():
                (folder / "cpu.cfs_period_us").write_text(str(PERIOD_US))
                (folder / _V1_FILES["cpu"]).write_text(str(round(PERIOD_US * limits.cpus)))
                if limits.is_guaranteed:
                    (folder / "cpu.shares").write_text(str(_MOST_V1_SHARES))
            if (folder / _V1_FILES["memory"]).exists():
                (folder / _V1_FILES["memory"]).write_text(str(limits.memory_bytes))
    except OSError:
        fence.remove()
        raise
    return fence


def _make_v2(candidates: Sequence[Path], own: str, limits: Limits) -> Fence:
    """Make it in the innermost cgroup that hands both controllers down; one with processes hands down none."""
    refusal: OSError = FileNotFoundError("there are no cgroups")
    for folder in candidates:
        try:
            fence = Fence([_made(folder, own)])
        except OSError as error:
            refusal = error
            continue
        (made,) = fence.folders
        try:
            if {"cpu", "memory"} <= set((read_text(made / "cgroup.controllers") or "").split()):
                (made / "cpu.max").write_text(f"{round(PERIOD_US * limits.cpus)} {PERIOD_US}")
                (made / "memory.max").write_text(str(limits.memory_bytes))
                if limits.is_guaranteed:
                    (made / "cpu.weight").write_text(str(_MOST_V2_WEIGHT))
                return fence
            refusal = PermissionError("no cgroup hands down the controllers of CPU and memory")
        except OSError as error:
            refusal = error
        fence.remove()
    raise refusal


def _made(above: Path, own: str) -> Path:
    for left_over in _left_over(above):
        _removed(left_over)
    folder = above / own
    folder.mkdir()
    return folder


def _left_over(above: Path) -> Iterator[Path]:
    """Yield the cgroups of demos that were killed."""
    for folder in above.glob(f"{PREFIX}*"):
        pid = folder.name.removeprefix(PREFIX).partition("-")[0]
        if pid.isdecimal() and not Path(f"/proc/{pid}").exists():
            yield folder


def _removed(folder: Path) -> bool:
    with suppress(FileNotFoundError):
        try:
            folder.rmdir()
        except OSError:  # a process is still in it
            return False
    return True
