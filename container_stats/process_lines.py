"""Which process took the place of which: so that restarts are seen where no engine counts them.

Pure; fed by `process_watch` with every sample. A process takes the place of one that ended if it is of the same service
and version and was made within a minute of that end. Processes that take each other's place are a line, named by the
number of its first. Releases have a new version, and further instances take nobody's place: neither is a restart.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from container_stats.readings import Attributes

TAKES_PLACE_WITHIN_S: Final = 60.0
_REMEMBERED_S: Final = 900.0
"""How long an end is remembered: its successor is seen once it has served something."""
_SLACK_S: Final = 1.0


class ProcessKey(NamedTuple):
    """What makes a process itself: its number, and when it was made in Unix seconds."""

    pid: int
    created_s: float


class Place(NamedTuple):
    """The line that a process is in, and whether it took the place of another in it."""

    line: int
    is_restart: bool


@dataclass(frozen=True, slots=True)
class _End:
    line: int
    seen_s: float
    gone_s: float


class ProcessLines:
    """Remembers the processes of the sample before, and the ends of those that nobody took the place of."""

    def __init__(self) -> None:
        self._places: dict[ProcessKey, tuple[Attributes, Place]] = {}
        self._ends: defaultdict[Attributes, list[_End]] = defaultdict(list)
        self._seen_s = 0.0

    def update(self, running: Mapping[ProcessKey, Attributes], now_s: float) -> Mapping[ProcessKey, Place]:
        """Take note of the processes that run, each with what its successor has in common; return their places."""
        for key, (group, place) in self._places.items():
            if key not in running:
                self._ends[group].append(_End(place.line, self._seen_s, now_s))
        known, self._places = self._places, {}
        for key, group in sorted(running.items(), key=lambda item: item[0].created_s):
            self._places[key] = known[key] if key in known else (group, self._place_of(key, group))
        self._forget(now_s)
        self._seen_s = now_s
        return {key: place for key, (_, place) in self._places.items()}

    def _place_of(self, key: ProcessKey, group: Attributes) -> Place:
        ends = self._ends.get(group, [])
        for end in reversed(ends):  # of several the one that ended last
            if end.seen_s - _SLACK_S <= key.created_s <= end.gone_s + TAKES_PLACE_WITHIN_S:
                ends.remove(end)
                return Place(end.line, is_restart=True)
        return Place(key.pid, is_restart=False)

    def _forget(self, now_s: float) -> None:
        for group, ends in list(self._ends.items()):
            self._ends[group] = [end for end in ends if now_s - end.gone_s < _REMEMBERED_S]
            if not self._ends[group]:
                del self._ends[group]
