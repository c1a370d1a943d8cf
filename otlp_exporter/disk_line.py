"""What waits for one target, oldest first: the index in memory of what is on disk, about 450 bytes a batch.

Belongs to the event loop, but for the figures, which any thread may read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from otlp_exporter.disk_files import Place, Segment
from otlp_exporter.target_settings import TargetSettings
from telemetry import Signal

UNKNOWN: Final = "unknown"
_NS_PER_S: Final = 1_000_000_000


@dataclass(slots=True, eq=False)
class Record:
    """A batch on disk. `targets` are those that still wait for it; `number` grows in the order of what is forwarded."""

    segment: Segment
    at: int
    size: int
    signal: Signal
    items: int
    received_ns: int
    targets: int = 0
    number: int = 0

    @property
    def place(self) -> Place:
        """Where it is."""
        return Place(self.segment.number, self.at, self.size)


class Dropped(NamedTuple):
    """Items that wait no longer, and why: `full`, `expired`, `disk`, `unreadable` or `removed`.

    Of a batch of which not even the head can be read, one of the signal `UNKNOWN`.
    """

    target: str
    signal: str
    items: int
    reason: str


class Line:
    """One target's. What was taken is in hand, and not dropped: it is on its way, and would be counted twice."""

    def __init__(self, target: TargetSettings) -> None:
        self.target = target
        self._waiting: deque[Record] = deque()
        self._in_hand: dict[int, Record] = {}
        self._waiting_bytes = 0
        self._in_hand_bytes = 0

    def held(self) -> tuple[int, int]:
        """Return how many batches there are, and their bytes on disk."""
        return len(self._waiting) + len(self._in_hand), self._waiting_bytes + self._in_hand_bytes

    def oldest_received_ns(self) -> int | None:
        """Return when the oldest was received."""
        try:
            first = [self._waiting[0].received_ns] if self._waiting else []
            return min([*first, *(one.received_ns for one in self._in_hand.values())], default=None)
        except (IndexError, RuntimeError):  # changed in this very moment
            return None

    def add(self, record: Record) -> None:
        """Put a record at the end."""
        self._waiting.append(record)
        self._waiting_bytes += record.size
        record.targets += 1

    def take(self) -> Record | None:
        """Return the oldest that waits, in hand from now on; `None` if there is none."""
        if not self._waiting:
            return None
        record = self._next()
        self._in_hand[record.number] = record
        self._in_hand_bytes += record.size
        return record

    def finish(self, number: int) -> Record | None:
        """Take out what was in hand; `None` if it was not."""
        record = self._in_hand.pop(number, None)
        if record is not None:
            self._in_hand_bytes -= record.size
            record.targets -= 1
        return record

    def hand_back(self) -> None:
        """Let what is in hand wait again, in its place."""
        for number in sorted(self._in_hand, reverse=True):
            record = self._in_hand.pop(number)
            self._in_hand_bytes -= record.size
            self._waiting.appendleft(record)
            self._waiting_bytes += record.size

    def shrink(self) -> Iterator[Record]:
        """Take out the oldest of what is too much. As in RabbitMQ, what is in hand is beside the limit."""
        while self._waiting and self._waiting_bytes > self.target.queue_max_bytes:
            yield self._drop()

    def expire(self, now_ns: int) -> Iterator[Record]:
        """Take out what is too old, as far as it is the oldest."""
        limit_ns = now_ns - self.target.queue_max_age_s * _NS_PER_S
        while self._waiting and self._waiting[0].received_ns < limit_ns:
            yield self._drop()

    def _drop(self) -> Record:
        record = self._next()
        record.targets -= 1
        return record

    def _next(self) -> Record:
        record = self._waiting.popleft()
        self._waiting_bytes -= record.size
        return record
