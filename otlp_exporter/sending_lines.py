"""What the process that takes batches in and the process that sends them on tell each other: lines of JSON.

One line down for each batch that is due, which names its place on the disk; lines up say which are done, and what was
counted. The end of the stream tells either side that the other is gone, however it went.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from otlp_exporter.disk_files import Place

LINE_LIMIT_BYTES: Final = 4 * 1024**2
Labels = tuple[tuple[str, str], ...]
Series = tuple[Any, Labels]


def line_of(target: str, number: int, place: Place) -> bytes:
    """Return the line that has a record sent to a target."""
    return orjson.dumps([target, number, list(place)]) + b"\n"


def due_of(line: bytes) -> tuple[str, int, Place]:
    """Read what `line_of` wrote."""
    target, number, place = orjson.loads(line)
    return target, number, Place(*place)


@dataclass(frozen=True, slots=True)
class News:
    """What the sending process did since its last line.

    `done` has target, number, and whether the body could be read; `counted` what was added to counters, and `gauges`
    what they read now, twice a second.
    """

    done: Iterable[tuple[str, int, bool]] = ()
    counted: Mapping[Series, int] = field(default_factory=dict)
    gauges: Mapping[Series, float] = field(default_factory=dict)

    def to_line(self) -> bytes:
        """Return the news as they are sent."""
        counted = [[name, labels, amount] for (name, labels), amount in self.counted.items()]
        gauges = [[name, labels, value] for (name, labels), value in self.gauges.items()]
        return orjson.dumps([list(self.done), counted, gauges]) + b"\n"

    @classmethod
    def of_line(cls, line: bytes) -> News:
        """Read what `to_line` wrote."""
        done, counted, gauges = orjson.loads(line)
        return cls([(target, number, is_read) for target, number, is_read in done], _series(counted), _series(gauges))


def _series(rows: Iterable[Any]) -> dict[Series, Any]:
    return {(name, tuple((key, label) for key, label in labels)): value for name, labels, value in rows}
