"""What a process of ModelWatch says of itself: who it is, since when, whether it is well, and its figures.

Written by every role that has a database and collected from those that have none (`self_watch/`); read by `query/`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from telemetry.counters import Figures
from telemetry.series_overflow import SeriesOverflow

_LONGEST_CHARS: Final = 4 * 1024 * 1024
"""Far above what all figures take: their names and labels are few and bounded, and so are the overflows."""


@dataclass(frozen=True, slots=True)
class ProcessReport:
    """One process at one moment; `process_id` is new with each start.

    `noted_ms` is Unix time by the clock of whoever noted it; `failures` says by the name of a check what is wrong, with
    an empty text where nothing is. `address` is where its health can be asked for, empty where nowhere. The last report
    of a process that ended in order `has_ended`.
    """

    process_id: str
    role: str
    version: str
    host: str
    pid: int
    started_ms: int
    noted_ms: int
    address: str = ""
    has_ended: bool = False
    failures: Mapping[str, str] = field(default_factory=dict)
    figures: Figures = field(default_factory=Figures)

    def to_text(self) -> str:
        """Return the report as JSON."""
        return json.dumps(
            {
                "process_id": self.process_id,
                "role": self.role,
                "version": self.version,
                "host": self.host,
                "pid": self.pid,
                "started_ms": self.started_ms,
                "noted_ms": self.noted_ms,
                "address": self.address,
                "has_ended": self.has_ended,
                "failures": dict(self.failures),
                "figures": document_of(self.figures),
            }
        )

    @classmethod
    def from_text(cls, text: str | bytes) -> ProcessReport:
        """Read what `to_text` wrote, in this version or another. Raises `ValueError` for anything else."""
        try:
            if len(text) > _LONGEST_CHARS:
                raise ValueError("too long")
            found = json.loads(text)
            return cls(
                process_id=str(found["process_id"]),
                role=str(found["role"]),
                version=str(found["version"]),
                host=str(found["host"]),
                pid=int(found["pid"]),
                started_ms=int(found["started_ms"]),
                noted_ms=int(found["noted_ms"]),
                address=str(found["address"]),
                has_ended=bool(found["has_ended"]),
                failures={str(name): str(message) for name, message in found["failures"].items()},
                figures=figures_of(found["figures"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise ValueError("this is no report of a process") from error


def document_of(figures: Figures) -> dict[str, Any]:
    """Return figures as plain lists and maps."""
    return {
        "counters": [[name, labels, value] for (name, labels), value in figures.counters.items()],
        "gauges": [[name, labels, value] for (name, labels), value in figures.gauges.items()],
        "overflows": [
            [one.service_name, one.kept, one.estimate, dict(one.distinct), one.cause] for one in figures.overflows
        ],
    }


def figures_of(document: Mapping[str, Any]) -> Figures:
    """Read what `document_of` returned. Raises `ValueError`, `KeyError` or `TypeError` for anything else."""
    return Figures(
        _series(document["counters"], int),
        _series(document["gauges"], float),
        tuple(
            SeriesOverflow(str(service), int(kept), int(estimate), {str(k): int(v) for k, v in values.items()}, str(of))
            for service, kept, estimate, values, of in document["overflows"]
        ),
    )


def _series(rows: Any, number: type[int] | type[float]) -> Any:
    return {
        (str(name), tuple((str(key), str(label)) for key, label in labels)): number(value)
        for name, labels, value in rows
    }
