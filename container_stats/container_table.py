"""The containers of an engine as far as they are known, within a limit.

Filled by the session with the engine, read by the sampler; outlives the connection, without I/O.
"""

from __future__ import annotations

from collections.abc import Iterator

from container_stats.container_info import ContainerInfo
from container_stats.readings import Subject
from container_stats.watched_container import WatchedContainer
from telemetry import Counters


class ContainerTable:
    """Times named `now_s` are monotonic seconds."""

    def __init__(self, max_containers: int, stopped_for_s: float, counters: Counters) -> None:
        self._max_containers = max_containers
        self._stopped_for_ns = int(stopped_for_s * 1e9)
        self._counters = counters
        self._containers: dict[str, WatchedContainer] = {}
        self._removed: list[WatchedContainer] = []
        self._long_stopped: set[str] = set()
        self._unwatched: set[str] = set()

    def __len__(self) -> int:
        return len(self._containers)

    @property
    def unwatched(self) -> int:
        """How many containers there are beyond the limit."""
        return len(self._unwatched)

    def info(self, container_id: str) -> ContainerInfo | None:
        """Return what is known of a container; `None` if it is not watched."""
        container = self._containers.get(container_id)
        return container.info if container else None

    def is_long_stopped(self, container_id: str) -> bool:
        """Tell whether nothing is said any more of a container, unless it starts again."""
        return container_id in self._long_stopped

    def take_info(self, info: ContainerInfo, now_s: float) -> WatchedContainer | None:
        """Take note of what a container is now; `None` if there are too many to watch it."""
        self._long_stopped.discard(info.id)
        container = self._containers.get(info.id)
        if container is not None:
            container.take_info(info, now_s)
            return container
        if len(self._containers) >= self._max_containers and not self._make_room_for(info):
            self._unwatched.add(info.id)
            return None
        self._unwatched.discard(info.id)
        return self._containers.setdefault(info.id, WatchedContainer(info, now_s))

    def take_oom(self, container_id: str, now_s: float) -> None:
        """Count a kill for want of memory."""
        container = self._containers.get(container_id)
        if container is not None:
            container.take_oom(now_s)

    def remove(self, container_id: str) -> None:
        """Take note that a container is gone."""
        self._long_stopped.discard(container_id)
        self._unwatched.discard(container_id)
        container = self._containers.pop(container_id, None)
        if container is not None:
            self._removed.append(container)

    def keep_only(self, container_ids: set[str]) -> None:
        """Take note that there are no others."""
        self._long_stopped &= container_ids
        self._unwatched &= container_ids
        for container_id in self._containers.keys() - container_ids:
            self.remove(container_id)

    def subjects(self, host_name: str, runtime: str, now_s: float, now_unix_nano: int) -> Iterator[Subject]:
        """Yield what there is to send now; of those that are gone once more, and then never again.

        The table may change meanwhile.
        """
        self._forget_long_stopped(now_unix_nano)
        while self._removed:
            yield self._removed.pop().removal(host_name, runtime, now_unix_nano)
        for container in list(self._containers.values()):
            if container.is_missing(now_s):
                self._counters.add("container_stats_missed_samples", 1)
            yield from container.subjects(host_name, runtime, now_s, now_unix_nano)

    def _make_room_for(self, info: ContainerInfo) -> bool:
        stopped = next((key for key, container in self._containers.items() if not container.info.has_processes), None)
        if stopped is None or not info.has_processes:
            return False
        del self._containers[stopped]
        self._unwatched.add(stopped)
        return True

    def _forget_long_stopped(self, now_unix_nano: int) -> None:
        oldest = now_unix_nano - self._stopped_for_ns
        for container_id, container in list(self._containers.items()):
            info = container.info
            if not info.has_processes and (info.finished_unix_nano or info.created_unix_nano) < oldest:
                del self._containers[container_id]
                self._long_stopped.add(container_id)
