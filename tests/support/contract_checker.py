"""The oracle of the fault tests: what senders were told, against what was stored and what the receiver counted.

The form of the OpenTelemetry Collector's receiver contract checker (receiver/receivertest/contract_checker.go): every
request has a number that can be found again in what is stored, and senders note the fate of every attempt.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

TRANSPORTS = ("grpc", "http")
SHOWN = 8
"""How many offenders a message names."""


class Fate(StrEnum):
    """What became of an attempt, as far as its sender can know."""

    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"
    """Told to try again. It may be stored nevertheless, as nobody knows what became of a publish that timed out."""
    REJECTED = "rejected"
    """Told never to try again."""
    UNANSWERED = "unanswered"
    """The receiver was heard to say nothing; it may have taken the request, or never have seen it."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One time that a request was sent; times are of the monotonic clock, in seconds."""

    request: int
    transport: str
    fate: Fate
    said: str
    sent_s: float
    took_s: float


class Stored(NamedTuple):
    """The calls and errors that are stored under the number of a request."""

    calls: int
    errors: int


@dataclass
class Journal:
    """What the senders of one test noted. Every request has the same number of spans, of which one is an error."""

    test_id: str
    spans_per_request: int
    attempts: list[Attempt] = field(default_factory=list, repr=False)

    def note(self, attempt: Attempt) -> None:
        self.attempts.append(attempt)

    def requests(self) -> set[int]:
        """Return the number of every request that was sent."""
        return {attempt.request for attempt in self.attempts}

    def acknowledged(self) -> set[int]:
        """Return the requests that were answered with success at least once."""
        return {attempt.request for attempt in self.attempts if attempt.fate is Fate.ACKNOWLEDGED}

    def between(self, begin_s: float, end_s: float) -> list[Attempt]:
        """Return the attempts that were sent within these times."""
        return [attempt for attempt in self.attempts if begin_s <= attempt.sent_s < end_s]

    def summary(self) -> str:
        """Return how many attempts there were of each fate."""
        counts = Counter(attempt.fate.value for attempt in self.attempts)
        return f"{len(self.requests())} requests: " + ", ".join(f"{count} {fate}" for fate, count in counts.items())


def check_stored(journal: Journal, stored: Mapping[int, Stored], *, excused: Collection[int] = ()) -> None:
    """Insist that what was acknowledged is stored, and that what is stored was sent and counts once, whole.

    `excused` are requests that somebody deleted after they were acknowledged.
    """
    lost = journal.acknowledged() - stored.keys() - set(excused)
    assert not lost, f"acknowledged and not stored: {_some(lost)}; {journal.summary()}"
    foreign = stored.keys() - journal.requests()
    assert not foreign, f"stored and never sent: {_some(foreign)}"
    once = Stored(journal.spans_per_request, 1)
    wrong = {request: found for request, found in stored.items() if found != once}
    assert not wrong, f"not counted exactly once, as {once}: {dict(list(wrong.items())[:SHOWN])}"
    only_rejected = journal.requests() - {one.request for one in journal.attempts if one.fate is not Fate.REJECTED}
    kept = only_rejected & stored.keys()
    assert not kept, f"rejected for good and stored: {_some(kept)}"


Figures = Mapping[tuple[str, str], int]
"""The receiver's counters by name, without prefix and suffix, and by transport."""


def check_counted(journal: Journal, figures: Figures) -> None:
    """Insist that the receiver counted every attempt once, as what it answered.

    Of attempts without an answer the receiver may have counted any, as anything.
    """
    for transport in TRANSPORTS:
        fates = Counter(attempt.fate for attempt in journal.attempts if attempt.transport == transport)
        unknown = fates[Fate.UNANSWERED]
        counted = {
            Fate.ACKNOWLEDGED: _requests(journal, figures, transport, "accepted"),
            Fate.REFUSED: _requests(journal, figures, transport, "refused"),
            Fate.REJECTED: _requests(journal, figures, transport, "rejected"),
        }
        for fate, count in counted.items():
            assert fates[fate] <= count <= fates[fate] + unknown, (
                f"{transport}: counted {count} as {fate.value}, of which senders know {fates[fate]}, "
                f"and {unknown} had no answer"
            )
        total, answered = sum(counted.values()), sum(fates.values()) - unknown
        assert answered <= total <= answered + unknown, f"{transport}: counted {total}, answered {answered} + {unknown}"


def _requests(journal: Journal, figures: Figures, transport: str, what: str) -> int:
    """Return how many requests the receiver counted: by their items, or, where it could not know them, as such."""
    items = figures.get((f"receiver_{what}_items", transport), 0)
    requests, rest = divmod(items, journal.spans_per_request)
    assert rest == 0, f"{transport}: {items} items {what} are no whole number of requests"
    return requests + figures.get((f"receiver_{what}_requests", transport), 0)


def _some(numbers: Iterable[int]) -> str:
    found = sorted(numbers)
    return f"{found[:SHOWN]}{'...' if len(found) > SHOWN else ''} ({len(found)})"
