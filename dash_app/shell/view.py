"""What a page shows: the time range and the filters; and their form in the page's address.

Pure. The address is the truth of the view, so that a link shows the same to everybody; `assets/address.js` writes it,
`view_of` reads it and takes nothing unknown from it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final
from urllib.parse import parse_qs, urlencode

from dash_app.shell.filters import EVERY_FILTER, EVERYTHING, fields_of_filter, filter_of, words_of
from query import SeriesFilter
from telemetry import ModelWatchError

_LONGEST_SEARCH: Final = 65_536
_STEPS_S: Final = (1, 2, 3, 5, 10, 20, 30, 60, 120, 180, 300, 360, 600, 720, 1_200, 1_800, 3_600, 7_200, 10_800)
_LONG_STEPS_S: Final = (21_600, 43_200, 86_400, 172_800, 604_800, 1_209_600)
_LONGEST_PACE_S: Final = 60.0
_STEPS_BETWEEN_QUESTIONS: Final = 6
LONGEST_S: Final = 731 * 86_400
SHORTEST_S: Final = 10
"""The bounds of a chosen time, which the browser keeps to as well."""
EARLIEST_S: Final = LONGEST_S
"""It neither begins nor ends before this Unix second, so that what is compared with it lies after 1970."""
STEPS: Final = 120
"""About as many as can be told apart in a chart of a third of a screen's width."""
STEPS_IF_WIDE: Final = 240
WIDE_PX: Final = 900
"""From which width on a chart has twice the steps."""


class NotBegunError(ModelWatchError):
    """The time that was chosen lies ahead: there is nothing of it yet. `now_s` is up to when figures are complete."""

    def __init__(self, now_s: int) -> None:
        super().__init__("This time has not begun. Choose another, or go back to now.")
        self.now_s = now_s


@dataclass(frozen=True, slots=True)
class TimeRange:
    """A stretch of time: `length_s` seconds up to now, or up to the Unix second `end_s` if that is given.

    A range up to now has a `name`. `most_steps` is what a chart over all has room for; half of it is what charts and
    sparklines by series show.
    """

    name: str
    length_s: int
    end_s: int | None = None
    most_steps: int = STEPS

    @property
    def step_s(self) -> int:
        """The width of a step in the charts over all; from 10 s on a multiple of the history's resolution."""
        return _step_s(self.length_s, self.most_steps)

    @property
    def series_step_s(self) -> int:
        """The width of a step in charts and sparklines by series."""
        return _step_s(self.length_s, self.most_steps // 2)

    @property
    def pace_s(self) -> float:
        """Seconds between two questions: a fraction of a step. What is past changes only when calls come late."""
        if self.end_s is not None:
            return _LONGEST_PACE_S
        return min(max(self.step_s // _STEPS_BETWEEN_QUESTIONS, 1.0), _LONGEST_PACE_S)

    def is_over(self, now_s: float) -> bool:
        """Tell whether the range no longer moves with the clock."""
        return self.end_s is not None and self.end_s <= now_s

    def bounds(self, settled_end_s: int) -> Bounds:
        """Return what of the range can be asked about when figures are complete up to this second.

        The start stays where it was chosen. Raises `NotBegunError` where that is still to come.
        """
        if self.end_s is None:
            return Bounds(settled_end_s - self.length_s, settled_end_s, self)
        start_s, end_s = self.end_s - self.length_s, min(self.end_s, settled_end_s)
        if start_s >= end_s:
            raise NotBegunError(settled_end_s)
        return Bounds(start_s, end_s, replace(self, length_s=end_s - start_s))

    @property
    def words(self) -> str:
        """The range as part of a sentence."""
        if self.end_s is not None:
            return "the chosen time"
        number, unit = int(self.name[:-1]), {"m": "minute", "h": "hour", "d": "day"}[self.name[-1]]
        return f"the last {unit}" if number == 1 else f"the last {number} {unit}s"

    @property
    def short(self) -> str:
        """The length in the fewest letters, such as "5m" or "1h 12m"."""
        left, parts = self.length_s, []
        for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
            number, left = divmod(left, size)
            if number:
                parts.append(f"{number}{unit}")
        return self.name or " ".join(parts[:2])


@dataclass(frozen=True, slots=True)
class Bounds:
    """The seconds that are asked about, and their length and steps as a range."""

    start_s: int
    end_s: int
    range: TimeRange

    @property
    def length_s(self) -> int:
        """How many seconds there are."""
        return self.end_s - self.start_s

    @property
    def half_s(self) -> int:
        """Half of that, at least a second."""
        return max(self.length_s // 2, 1)


def _step_s(length_s: int, most_steps: int) -> int:
    return next((step for step in (*_STEPS_S, *_LONG_STEPS_S) if step * most_steps >= length_s), _LONG_STEPS_S[-1])


RANGES: Final[Mapping[str, TimeRange]] = MappingProxyType(
    {
        name: TimeRange(name, length_s)
        for name, length_s in (
            ("5m", 300),
            ("15m", 900),
            ("1h", 3_600),
            ("6h", 21_600),
            ("24h", 86_400),
            ("7d", 7 * 86_400),
            ("30d", 30 * 86_400),
            ("90d", 90 * 86_400),
        )
    }
)
DEFAULT_RANGE: Final = "5m"


@dataclass(frozen=True, slots=True)
class View:
    """What is asked for: figures of a time, of the series that `where` lets through."""

    range: TimeRange = RANGES[DEFAULT_RANGE]
    where: SeriesFilter = EVERYTHING


def why_empty(what: str, view: View, where: SeriesFilter | None = None) -> str:
    """Say that there is nothing of `what` in the view, and what to do next."""
    advice = "Choose a longer range" if view.range.end_s is None else "Choose another"
    less = ", or clear filters." if view.where != EVERYTHING else "."
    return f"{what}{words_of(view.where if where is None else where)} in {view.range.words}. {advice}{less}"


def fields_of(search: str) -> dict[str, str]:
    """Return the fields of an address by name, the first of each; the text may be anything."""
    return {name: found[0] for name, found in parse_qs(search[:_LONGEST_SEARCH].removeprefix("?")).items()}


def view_of(search: str, width_px: int = 0, filters: Collection[str] = EVERY_FILTER) -> View:
    """Read a view from the part of an address after the path, such as `?range=1h&env=prod`; the unknown is left out.

    `from` and `to` take the place of `range`: RFC 3339 times. A chart that is `width_px` wide gets the steps for it.
    Of the filters only those named are read.
    """
    fields = fields_of(search)
    most_steps = STEPS_IF_WIDE if width_px >= WIDE_PX else STEPS
    chosen = _chosen(fields.get("from"), fields.get("to"), most_steps)
    named = RANGES.get(fields.get("range", ""), RANGES[DEFAULT_RANGE])
    shown = chosen or TimeRange(named.name, named.length_s, None, most_steps)
    return View(shown, filter_of(fields, filters))


def _chosen(start: str | None, end: str | None, most_steps: int) -> TimeRange | None:
    start_s, end_s = _second(start), _second(end)
    if start_s is None or end_s is None or not SHORTEST_S <= end_s - start_s <= LONGEST_S:
        return None
    return TimeRange("", end_s - start_s, end_s, most_steps)


def _second(text: str | None) -> int | None:
    try:
        moment = datetime.fromisoformat((text or "").upper())
        second = int(moment.timestamp()) if moment.tzinfo else -1
    except (ValueError, OverflowError, OSError):
        return None
    return second if second >= EARLIEST_S else None


def search_of(view: View) -> str:
    """Return the address part of a view, without what is the default; `view_of` reads it back."""
    shown = view.range
    fields = {
        "range": shown.name if shown.name != DEFAULT_RANGE else None,
        "from": None if shown.end_s is None else _rfc_3339(shown.end_s - shown.length_s),
        "to": None if shown.end_s is None else _rfc_3339(shown.end_s),
        **fields_of_filter(view.where),
    }
    text = urlencode({name: value for name, value in fields.items() if value})
    return f"?{text}" if text else ""


def _rfc_3339(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
