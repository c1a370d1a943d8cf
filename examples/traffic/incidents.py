"""What goes wrong, where and when: three incidents that repeat every four minutes.

Pure; `generator` makes them happen.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What visitors notice."""

    SLOW = "slow"
    FAILING = "failing"
    SHORT_OF_CPU = "short of CPU"


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


CYCLE_S = 240.0
INCIDENTS = (
    Incident("digits-reader", Kind.SLOW, 20, 45, "its store of scans takes 1 to 2 s per image"),
    Incident("tumour-classifier", Kind.FAILING, 70, 45, "its record store refuses connections or is too slow"),
    Incident("diabetes-regressor", Kind.SHORT_OF_CPU, 130, 85, "three visitors keep asking for costly explanations"),
)


def occurrences(from_s: float) -> Iterator[tuple[float, Incident]]:
    """Yield, without end, each incident that begins at or after `from_s` with the second at which it begins."""
    cycle = max(0, math.floor(from_s / CYCLE_S))
    while True:
        for incident in INCIDENTS:
            begins_s = cycle * CYCLE_S + incident.begins_s
            if begins_s >= from_s:
                yield begins_s, incident
        cycle += 1
