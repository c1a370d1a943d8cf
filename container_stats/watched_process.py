"""A process that telemetry came from, as `modelwatch/` hands it to this room: who it is, and whose."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from container_stats.readings import Attributes


class WatchedProcess(NamedTuple):
    """The resource of a service's spans, as far as it tells the process.

    `last_seen_s` is the Unix time of the last telemetry: a process made later has only the same number. `attributes`
    are those of the service, which its process's metrics get as well.
    """

    host_name: str
    pid: int
    last_seen_s: float
    container_id: str = ""
    attributes: Attributes = ()


FindWatched = Callable[[], Awaitable[Sequence[WatchedProcess]]]
"""Return the processes that telemetry came from of late, on any host."""
