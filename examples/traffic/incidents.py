"""What goes wrong, where and when: incidents that repeat every twenty minutes, the usual ones three times in that.

Pure; `generator` makes them happen.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum


class Kind(StrEnum):
    """What visitors notice; its name with dashes is what an incident is asked for by."""

    SLOW = "slow"
    FAILING = "failing"
    SHORT_OF_CPU = "short of CPU"
    SHORT_OF_MEMORY = "short of memory"
    CRASHING = "crashing"
    BEHIND = "behind"


@dataclass(frozen=True)
class Incident:
    """Begins `begins_s` seconds into each cycle and lasts `lasts_s`."""

    service: str
    kind: Kind
    begins_s: float
    lasts_s: float
    cause: str

    def headline(self) -> str:
        """Return one line for whoever watches."""
        return f"incident: {self.service} {self.kind} for {self.lasts_s:.0f} s ({self.cause})"


def _usual(from_s: float) -> tuple[Incident, ...]:
    """Return the three that belong to any first look, within four minutes from `from_s` on."""
    slow = "its store of scans takes 1 to 2 s per image"
    failing = "its record store refuses connections or is too slow"
    costly = "three visitors keep asking for costly explanations"
    return (
        Incident("digits-reader", Kind.SLOW, from_s + 20, 45, slow),
        Incident("tumour-classifier", Kind.FAILING, from_s + 70, 45, failing),
        Incident("diabetes-regressor", Kind.SHORT_OF_CPU, from_s + 130, 85, costly),
    )


CYCLE_S = 1200.0
INCIDENTS = (
    *_usual(0),
    Incident("digits-reader", Kind.SHORT_OF_MEMORY, 260, 160, "it holds nearly all of the memory that it may have"),
    Incident("tumour-classifier", Kind.CRASHING, 450, 75, "its process ends three times, and is started again"),
    *_usual(560),
    *_usual(860),
)
"""Crashes are counted over ten minutes, so that their alert is over before they come again."""

ON_REQUEST = (
    Incident("ModelWatch", Kind.BEHIND, 0, 75, "its process that takes and stores data stands still, its alerts go on"),
)
"""Those that are never in the schedule: they need a ModelWatch of several processes."""

NAMES = {kind.value.replace(" ", "-").lower(): kind for kind in Kind}


def occurrences(from_s: float) -> Iterator[tuple[float, Incident]]:
    """Yield, without end, each incident that begins at or after `from_s` with the second at which it begins."""
    cycle = max(0, math.floor(from_s / CYCLE_S))
    while True:
        for incident in INCIDENTS:
            begins_s = cycle * CYCLE_S + incident.begins_s
            if begins_s >= from_s:
                yield begins_s, incident
        cycle += 1


def chosen(texts: Sequence[str]) -> list[Incident]:
    """Return the incidents of `NAME` or `NAME=SECONDS`, to begin at once. Raises `ValueError` with what there is."""
    found = []
    for text in texts:
        name, equals, seconds = text.partition("=")
        if name not in NAMES:
            raise ValueError(f"there is no incident {name!r}: choose from {', '.join(NAMES)}")
        incident = next(one for one in (*INCIDENTS, *ON_REQUEST) if one.kind is NAMES[name])
        try:
            lasts_s = float(seconds) if equals else incident.lasts_s
        except ValueError:
            lasts_s = math.nan
        if not 1 <= lasts_s <= 600:
            raise ValueError(f"{text!r}: an incident lasts 1 to 600 seconds, as in {name}=60")
        found.append(replace(incident, begins_s=0, lasts_s=lasts_s))
    return found
