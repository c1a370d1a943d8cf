"""Which deliveries are in hand, and with how few frames the finished ones are acknowledged.

Bookkeeping of the subscription without any I/O.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Acks:
    """What to send: everything up to the tag `up_to` (0 for nothing), and then the tags of `singles` one by one."""

    up_to: int
    singles: tuple[int, ...]


class InHand:
    """The deliveries of one channel that were not yet acknowledged, in the order of their tags."""

    def __init__(self) -> None:
        self._open: dict[int, bool] = {}

    def __len__(self) -> int:
        return len(self._open)

    def add(self, tag: int) -> None:
        """Take a delivery. Tags of a channel only grow (AMQP 0-9-1, basic.deliver)."""
        self._open[tag] = False

    def finish(self, tag: int) -> None:
        """Mark a delivery as finished, to be acknowledged by the next `take`."""
        self._open[tag] = True

    def take(self) -> Acks:
        """Return the acknowledgements that are due, and forget their deliveries.

        Nothing waits for a slower delivery before it: what is finished beyond the first gap is acknowledged singly.
        """
        finished = [tag for tag, is_finished in self._open.items() if is_finished]
        up_to = 0
        for tag, is_finished in self._open.items():
            if not is_finished:
                break
            up_to = tag
        for tag in finished:
            del self._open[tag]
        return Acks(up_to, tuple(tag for tag in finished if tag > up_to))
