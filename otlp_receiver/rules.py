"""What makes an item of a request invalid by itself, and what the sender is told of it.

The rules of each signal are in a module of their own; the inspection applies them. An invalid item is taken out and
counted, its good neighbours go on (OTLP specification, "Partial Success").
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(slots=True)
class Sifted:
    """What was found in a request or a part of one: its good items, and its bad ones by what is wrong with them."""

    good: int = 0
    bad: Counter[str] = field(default_factory=Counter)

    def add(self, other: Sifted) -> None:
        self.good += other.good
        self.bad += other.bad


class Rules(Protocol):
    """The rules of one signal. Both methods expect bytes, or a message, that is known to be valid protobuf."""

    @property
    def sifted_class(self) -> Any:
        """The class of the messages that `sift` takes. It keeps the bytes that it does not know."""
        ...

    def count_valid(self, body: bytes) -> int | None:
        """Return the number of items, or `None` if it cannot be said quickly that all of them are valid."""
        ...

    def sift(self, request: Any) -> Sifted:
        """Take the invalid items out of the request."""
        ...


def take_out(items: Any, faults: list[str | None]) -> Sifted:
    """Take those out of a repeated field that have a fault; `faults` has an entry for each."""
    bad = Counter(fault for fault in faults if fault is not None)
    if bad:
        good = [item for item, fault in zip(items, faults, strict=True) if fault is None]
        del items[:]
        items.extend(good)
    return Sifted(len(faults) - bad.total(), bad)
