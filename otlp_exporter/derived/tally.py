"""What was counted of one group: calls by bucket of duration, how many failed, and the sum of durations.

Of calls that came together it is known how many failed, not which: where all did, or none, durations have an outcome.

Pure. Whole numbers without a limit, as they add up for as long as a group lives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

from telemetry import ExponentialHistogram


@dataclass(frozen=True, slots=True)
class Tally:
    """`buckets` has counts by the index of `telemetry.exponential_histogram`."""

    buckets: Mapping[int, int] = field(default_factory=dict)
    errors: int = 0
    sum_ns: int = 0

    @classmethod
    def of(cls, durations: ExponentialHistogram, errors: int) -> Tally:
        """Return the tally of calls that took so long."""
        return cls(durations.bucket_counts(), errors, durations.sum_ns)

    @property
    def calls(self) -> int:
        """How many calls there were."""
        return sum(self.buckets.values())

    def plus(self, other: Tally) -> Tally:
        """Return the calls of both."""
        buckets = dict(self.buckets)
        for index, count in other.buckets.items():
            buckets[index] = buckets.get(index, 0) + count
        return Tally(buckets, self.errors + other.errors, self.sum_ns + other.sum_ns)

    def beyond(self, other: Tally) -> Tally:
        """Return what is here and not in `other`; what is there alone counts as nothing."""
        rest = {index: count - other.buckets.get(index, 0) for index, count in self.buckets.items()}
        return Tally(
            {index: count for index, count in rest.items() if count > 0},
            max(self.errors - other.errors, 0),
            max(self.sum_ns - other.sum_ns, 0),
        )

    def document(self) -> list[Any]:
        """Return a form for JSON."""
        return [list(self.buckets), list(self.buckets.values()), self.errors, self.sum_ns]

    @classmethod
    def of_document(cls, document: list[Any]) -> Tally:
        """Read what `document` wrote."""
        indexes, counts, errors, sum_ns = document
        return cls(dict(zip(indexes, counts, strict=True)), errors, sum_ns)


NOTHING = Tally()


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Calls by what became of them; `mixed` are those that came with others which ended otherwise."""

    good: Tally = NOTHING
    failed: Tally = NOTHING
    mixed: Tally = NOTHING

    @classmethod
    def of(cls, tally: Tally) -> Outcomes:
        """Return calls that came together."""
        if not tally.errors:
            return cls(good=tally)
        return cls(failed=tally) if tally.errors >= tally.calls else cls(mixed=tally)

    @property
    def total(self) -> Tally:
        """All calls."""
        # Mostly there is but one part, which is not worth a copy.
        parts = [part for part in (self.good, self.failed, self.mixed) if part.buckets]
        return reduce(Tally.plus, parts) if parts else NOTHING

    def plus(self, other: Outcomes) -> Outcomes:
        """Return the calls of both."""
        return Outcomes(self.good.plus(other.good), self.failed.plus(other.failed), self.mixed.plus(other.mixed))

    def document(self) -> list[Any]:
        """Return a form for JSON."""
        return [*self.good.document(), *self.failed.document(), *self.mixed.document()]

    @classmethod
    def of_document(cls, document: list[Any]) -> Outcomes:
        """Read what `document` wrote."""
        return cls(*(Tally.of_document(document[first : first + 4]) for first in (0, 4, 8)))


NO_CALLS = Outcomes()
