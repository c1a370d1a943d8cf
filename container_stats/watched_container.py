"""One container while it is watched: what it was told to be, the newest frame of its stats, and what was sent of it.

Kept by the engine watch; no I/O, and the clock is passed in.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from container_stats.container_info import ContainerInfo
from container_stats.container_readings import resource_of, state_readings, usage_readings
from container_stats.frames import usage_before_frame, usage_of_frame
from container_stats.names import CONTAINER_STATE
from container_stats.readings import Reading, Subject
from container_stats.usage import Usage

FRESH_S: Final = 15.0
"""Frames come every second from Docker and every five from Podman; an older one is no reading of now."""

OOM_BURST_S: Final = 2.0
"""On cgroup v1 Docker tells one kill by a dozen events within 0.1 s; so close together they count as one."""

_CLOCKS_AGREE_NS: Final = 60_000_000_000


class WatchedContainer:
    """Times named `now_s` are monotonic seconds, `now_unix_nano` is Unix time in nanoseconds."""

    def __init__(self, info: ContainerInfo, now_s: float) -> None:
        self.info = info
        self._states: set[str] = set()
        self._healths: set[str] = set()
        self._oom_kills = 0
        self._oom_kills_of_run = 0
        self._last_oom_s: float | None = None
        self._frame: bytes | None = None
        self._frame_s = now_s
        self._before: Usage | None = None
        self.take_info(info, now_s)

    def take_info(self, info: ContainerInfo, now_s: float) -> None:
        """Take note of what an inspection said."""
        if info.started_unix_nano != self.info.started_unix_nano:
            self._oom_kills_of_run = 0
            self._frame, self._frame_s, self._before = None, now_s, None
        self.info = info
        self._states.add(info.state)
        if info.health:
            self._healths.add(info.health)
        if info.was_oom_killed and not info.has_processes and not self._oom_kills_of_run:
            self.take_oom(now_s)  # of which there was no event: Podman has none, and we may have started since
        if not info.has_processes:
            self._frame, self._frame_s, self._before = None, now_s, None

    def take_oom(self, now_s: float) -> None:
        """Count an event "oom", unless it belongs to the one before."""
        if self._last_oom_s is None or now_s - self._last_oom_s > OOM_BURST_S:
            self._oom_kills += 1
            self._oom_kills_of_run += 1
        self._last_oom_s = now_s

    def take_frame(self, frame: bytes, now_s: float) -> None:
        """Keep a frame instead of the one before it; it is read when it is asked for."""
        self._frame, self._frame_s = frame, now_s

    def subjects(self, host_name: str, runtime: str, now_s: float, now_unix_nano: int) -> Iterator[Subject]:
        """Yield what there is to send now; without usage if no frame is fresh."""
        resource = resource_of(self.info, host_name, runtime)
        readings = list(state_readings(self.info, self._states, self._healths, self._oom_kills, now_unix_nano))
        # Restarts and kills count on over starts of the container; the rest counts since the last.
        yield Subject(resource, readings, now_unix_nano, self.info.created_unix_nano)
        usage = self._new_usage(now_s)
        if usage is not None:
            readings = list(usage_readings(usage, self._before, self.info.limits))
            self._before = usage
            is_by_our_clock = abs(now_unix_nano - usage.time_unix_nano) < _CLOCKS_AGREE_NS
            time_unix_nano = usage.time_unix_nano if is_by_our_clock else now_unix_nano
            yield Subject(resource, readings, time_unix_nano, self.info.started_unix_nano or 0)

    def removal(self, host_name: str, runtime: str, now_unix_nano: int) -> Subject:
        """Return the last that is sent of a container: that it is gone."""
        states = [(state, 0) for state in sorted(self._states)] + [("removed", 1)]
        readings = [Reading(CONTAINER_STATE, value, ((CONTAINER_STATE, state),)) for state, value in states]
        resource = resource_of(self.info, host_name, runtime)
        return Subject(resource, readings, now_unix_nano, self.info.created_unix_nano)

    def is_missing(self, now_s: float) -> bool:
        """Tell whether it runs and yet nothing came for so long that the newest frame, if any, is not fresh."""
        return self.info.has_processes and now_s - self._frame_s > FRESH_S

    def _new_usage(self, now_s: float) -> Usage | None:
        if self._frame is None or now_s - self._frame_s > FRESH_S:
            return None
        try:
            frame = json.loads(self._frame)
        except ValueError:
            return None
        usage = usage_of_frame(frame)
        if usage is None or (self._before is not None and usage.time_unix_nano <= self._before.time_unix_nano):
            return None
        if self._before is None:
            self._before = usage_before_frame(frame)
        return usage
