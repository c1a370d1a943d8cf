"""A look at a spill from outside: how much waits in it, and what was kept aside.

For `modelwatch doctor`, which changes and locks nothing; processes may be writing meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rabbit_exporter.quarantine import QUARANTINE_FOLDER
from rabbit_exporter.segment_name import segments_in


@dataclass(frozen=True, slots=True)
class Survey:
    """What is in all slots together."""

    waiting_bytes: int
    aside: int
    """How many files are in quarantine."""


def survey_spill(root: Path) -> Survey:
    """Return what is below a spill's folder, which need not be there. Raises `OSError`."""
    waiting_bytes = aside = 0
    slots = [path for path in root.iterdir() if path.name.isdecimal()] if root.exists() else []
    for slot in slots:
        for name in segments_in(slot):
            try:
                waiting_bytes += (slot / str(name)).stat().st_size
            except FileNotFoundError:
                pass  # drained and deleted just now
        quarantine = slot / QUARANTINE_FOLDER
        aside += len(list(quarantine.iterdir())) if quarantine.exists() else 0
    return Survey(waiting_bytes, aside)
