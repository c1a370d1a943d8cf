"""What a worker process of the receiver tells its parent: one line of JSON a report, over a pair of sockets.

Written by `worker`, read by `worker_process`. A line from the parent is a question, by its number; the end of the
stream tells either side that the other is gone, however it went.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from telemetry import Figures

LINE_LIMIT_BYTES: Final = 1024 * 1024
"""Far above what all figures take: names and labels are few and bounded."""


@dataclass(frozen=True)
class Report:
    """How a worker is. `answers` is the number of the last question that it had read when it wrote this.

    `failures` holds by the name of a check what is wrong, empty where nothing is; `start_error` is the one line of a
    worker that cannot start.
    """

    is_ready: bool = False
    answers: int = 0
    figures: Figures = field(default_factory=Figures)
    failures: Mapping[str, str] = field(default_factory=dict)
    start_error: str = ""

    def to_line(self) -> bytes:
        """Return the report as it is sent."""
        document = {
            "is_ready": self.is_ready,
            "answers": self.answers,
            "counters": [[name, labels, value] for (name, labels), value in self.figures.counters.items()],
            "gauges": [[name, labels, value] for (name, labels), value in self.figures.gauges.items()],
            "failures": self.failures,
            "start_error": self.start_error,
        }
        return orjson.dumps(document) + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Report:
        """Read what `to_line` wrote. Raises `ValueError` for anything else."""
        try:
            document = orjson.loads(line)
            figures = Figures(_series(document.pop("counters")), _series(document.pop("gauges")))
            return cls(figures=figures, **document)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError("this is no report of a worker") from error


def _series(rows: list[Any]) -> Any:
    return {(name, tuple((key, label) for key, label in labels)): value for name, labels, value in rows}
