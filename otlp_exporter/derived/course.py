"""How far the export of derived metrics is: what was seen of each hour, and what was told of each group so far.

Pure. History is read as sums over whole hours, the last two closed ones among them, and compared with what was seen of
the same hour before: so late calls count too, nothing counts twice, and what is told never falls.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from otlp_exporter.derived.tally import NO_CALLS, NOTHING, Outcomes, Tally
from telemetry.conventions import METRIC_OVERFLOW

Group = tuple[str, ...]
Hours = Mapping[int, Mapping[Group, Tally]]
"""By the start of an hour in Unix seconds and by group, all that was counted."""
HOUR_S: Final = 3_600
CLOSED_HOURS: Final = 2
"""How many whole hours before the current one late calls may belong to."""
_CAUGHT_UP_HOURS: Final = 48
"""Of a stop that was longer than these, only so much is told."""
_FORGOTTEN_AFTER_S: Final = 86_400
_FORM: Final = 2
_FORM_WITHOUT_OUTCOMES: Final = 1


@dataclass(frozen=True, slots=True)
class Told:
    """A group since it was first told of; `moved_s` is when it last grew."""

    since_s: int
    moved_s: int
    total: Outcomes


@dataclass(frozen=True)
class Course:
    """Where a target is. `until_s` is the time of the last export."""

    until_s: int
    seen: Hours = field(default_factory=dict)
    told: Mapping[Group, Told] = field(default_factory=dict)
    alerts: frozenset[tuple[tuple[str, str], ...]] = frozenset()
    """Attributes of those that were told to be open."""

    def to_bytes(self) -> bytes:
        """Return the form at rest."""
        document = {
            "form": _FORM,
            "until_s": self.until_s,
            "seen": [[hour_s, _rows(tallies)] for hour_s, tallies in self.seen.items()],
            "told": [[*key, told.since_s, told.moved_s, *told.total.document()] for key, told in self.told.items()],
            "alerts": sorted(self.alerts),
        }
        return zlib.compress(orjson.dumps(document), 1)

    @classmethod
    def from_bytes(cls, raw: bytes) -> Course:
        """Read what `to_bytes` wrote."""
        found: dict[str, Any] = orjson.loads(zlib.decompress(raw))
        return cls(
            found["until_s"],
            {hour_s: {tuple(row[:-4]): Tally.of_document(row[-4:]) for row in rows} for hour_s, rows in found["seen"]},
            dict(map(_told_of_row if found["form"] != _FORM_WITHOUT_OUTCOMES else _told_of_first_form, found["told"])),
            frozenset(tuple((name, value) for name, value in pairs) for pairs in found["alerts"]),
        )


def begun(now_s: int) -> Course:
    """Return the course of a target that was told nothing; it begins with the hour that runs."""
    return Course(_hour_of(now_s), {_hour_of(now_s): {}})


def hours_to_read(course: Course, now_s: int) -> list[int]:
    """Return the hours that may hold something new, by their starts: after a stop, those of the stop among them."""
    current_s = _hour_of(now_s)
    first_s = max(min(course.seen, default=current_s), current_s - _CAUGHT_UP_HOURS * HOUR_S)
    return list(range(first_s, current_s + 1, HOUR_S))


def advanced(course: Course, hours: Hours, now_s: int, max_groups: int) -> tuple[Course, Mapping[Group, Outcomes]]:
    """Return the course after what was read now, and what is new in it by group.

    A group beyond `max_groups` is part of the one that is named otel.metric.overflow in all its fields, and stays so
    for the hours of its calls; it gets a place when groups that did not grow for a day are forgotten.
    """
    now_s = max(now_s, course.until_s)
    told = {key: one for key, one in course.told.items() if now_s - one.moved_s < _FORGOTTEN_AFTER_S}
    places = _Places({key: one.since_s for key, one in told.items()}, max_groups)
    seen: dict[int, Mapping[Group, Tally]] = {}
    news: dict[Group, Outcomes] = {}
    for hour_s, tallies in hours.items():
        before = course.seen.get(hour_s, {})
        after = dict(before)
        for key, tally in places.folded(hour_s, tallies, before).items():
            new = tally.beyond(before.get(key, NOTHING))
            if new.buckets:
                after[key] = before.get(key, NOTHING).plus(new)
                news[key] = news.get(key, NO_CALLS).plus(Outcomes.of(new))
        if hour_s >= _hour_of(now_s) - CLOSED_HOURS * HOUR_S:
            seen[hour_s] = after
    folded: dict[Group, Outcomes] = {}
    for key, come in news.items():
        place = key if places.has(key) else _overflow(key)
        old = told.get(place, Told(course.until_s, now_s, NO_CALLS))
        told[place] = Told(old.since_s, now_s, old.total.plus(come))
        folded[place] = folded.get(place, NO_CALLS).plus(come)
    return Course(now_s, seen, told, course.alerts), folded


class _Places:
    """Which groups are told by their own name, up to `limit` of them, and which are part of the overflow."""

    def __init__(self, since_s: Mapping[Group, int], limit: int) -> None:
        self._since_s = since_s
        self._limit = limit
        self._new: set[Group] = set()
        self._count = sum(key != _overflow(key) for key in since_s)

    def has(self, key: Group) -> bool:
        """Tell whether a group has a name of its own; the first that come get one, as long as there is room."""
        if key in self._since_s or key in self._new:
            return True
        if self._count >= self._limit or key == _overflow(key):
            return False
        self._count += 1
        self._new.add(key)
        return True

    def folded(self, hour_s: int, tallies: Mapping[Group, Tally], before: Mapping[Group, Tally]) -> dict[Group, Tally]:
        """Return an hour's groups with those that have no place in it as one.

        What was once part of the overflow stays there for that hour: its calls were told with it.
        """
        found: dict[Group, Tally] = {}
        for key, tally in tallies.items():
            if key in before:
                is_own = True
            elif _overflow(key) in before:
                is_own = self._since_s.get(key, hour_s) < hour_s  # else it may have been part of it
            else:
                is_own = self.has(key)
            place = key if is_own else _overflow(key)
            found[place] = found[place].plus(tally) if place in found else tally
        return found


def _overflow(key: Group) -> Group:
    return (METRIC_OVERFLOW,) * len(key)


def _hour_of(now_s: int) -> int:
    return now_s - now_s % HOUR_S


def _told_of_row(row: list[Any]) -> tuple[Group, Told]:
    return tuple(row[:-14]), Told(row[-14], row[-13], Outcomes.of_document(row[-12:]))


def _told_of_first_form(row: list[Any]) -> tuple[Group, Told]:
    """Of what was told before outcomes were kept, durations have gone on without one, and go on so."""
    return tuple(row[:-6]), Told(row[-6], row[-5], Outcomes(mixed=Tally.of_document(row[-4:])))


def _rows(tallies: Mapping[Group, Tally]) -> list[list[Any]]:
    return [[*key, *tally.document()] for key, tally in tallies.items()]
