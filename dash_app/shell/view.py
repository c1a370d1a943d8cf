"""What a page shows: the time range, the environment, the service; and its form in the page's address.

Pure. The address is the truth of the view, so that a link shows the same to everybody; `assets/address.js` writes it,
`view_of` reads it and takes nothing unknown from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final
from urllib.parse import parse_qs, urlencode

_LONGEST_SEARCH: Final = 2_048


@dataclass(frozen=True, slots=True)
class TimeRange:
    """A choice of the range selector, all in seconds.

    `step_s` is the width of a step in the charts over all, `series_step_s` the same for charts and sparklines by
    service; both are multiples of the history's resolution where the range may need it. The page asks anew every
    `pace_s`, which is a fraction of a step.
    """

    name: str
    length_s: int
    step_s: int
    series_step_s: int
    pace_s: float

    @property
    def words(self) -> str:
        """The range as part of a sentence."""
        return {"5m": "5 minutes", "15m": "15 minutes", "1h": "hour", "6h": "6 hours", "24h": "24 hours"}[self.name]


RANGES: Final[Mapping[str, TimeRange]] = MappingProxyType(
    {
        choice.name: choice
        for choice in (
            TimeRange("5m", 300, 3, 6, 1),
            TimeRange("15m", 900, 10, 20, 1),
            TimeRange("1h", 3_600, 30, 60, 5),
            TimeRange("6h", 21_600, 180, 360, 15),
            TimeRange("24h", 86_400, 720, 1_440, 60),
        )
    }
)
DEFAULT_RANGE: Final = "5m"


@dataclass(frozen=True, slots=True)
class View:
    """What is asked for. `environment` and `service` of `None` let all through."""

    range: TimeRange = RANGES[DEFAULT_RANGE]
    environment: str | None = None
    service: str | None = None


def fields_of(search: str) -> dict[str, str]:
    """Return the fields of an address by name, the first of each; the text may be anything."""
    return {name: found[0] for name, found in parse_qs(search[:_LONGEST_SEARCH].removeprefix("?")).items()}


def view_of(search: str) -> View:
    """Read a view from the part of an address after the path, such as `?range=1h&env=prod`; the unknown is left out."""
    values = fields_of(search)
    return View(
        RANGES.get(values.get("range", ""), RANGES[DEFAULT_RANGE]),
        values.get("env") or None,
        values.get("service") or None,
    )


def search_of(view: View) -> str:
    """Return the address part of a view, without what is the default; `view_of` reads it back."""
    fields = {
        "range": view.range.name if view.range.name != DEFAULT_RANGE else None,
        "env": view.environment,
        "service": view.service,
    }
    text = urlencode({name: value for name, value in fields.items() if value})
    return f"?{text}" if text else ""
