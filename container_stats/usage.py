"""What a container has used at one moment, whoever told it: the engine's stats or the files of its cgroup.

Fields that nobody told are `None`; they are left out of what is sent, never sent as zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Throttling:
    """Periods of a CPU quota since the start, those in which it was used up, and the time waited for the next."""

    periods: int
    throttled_periods: int
    throttled_ns: int


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes. `inactive_file` is page cache that can be dropped at once; `limit` the host's memory if there is none."""

    usage: int
    limit: int | None = None
    inactive_file: int | None = None
    rss: int | None = None
    file: int | None = None

    @property
    def working_set(self) -> int:
        """Usage without the page cache that is not in use, as Kubernetes and `docker stats` count it."""
        return max(self.usage - (self.inactive_file or 0), 0)


@dataclass(frozen=True, slots=True)
class Usage:
    """Totals since the container started, and what it holds now.

    `network` is bytes received and sent by interface, `disk` bytes read and written by device (`major:minor`);
    `faults` are page faults in all and those that had to wait for a disk.
    """

    time_unix_nano: int
    cpu_ns: int
    online_cpus: int | None = None
    throttling: Throttling | None = None
    memory: Memory | None = None
    faults: tuple[int, int] | None = None
    network: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    disk: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    pids: int | None = None
    pids_limit: int | None = None


def cores_between(before: Usage, after: Usage) -> float | None:
    """Return the cores in use on average between the two; `None` where the totals do not tell.

    They do not when no time passed, or when the container began anew in between.
    """
    elapsed_ns = after.time_unix_nano - before.time_unix_nano
    used_ns = after.cpu_ns - before.cpu_ns
    return used_ns / elapsed_ns if elapsed_ns > 0 and used_ns >= 0 else None
