"""The colours of lines and areas, and which of them a service gets.

Chosen to stand out at least 3 to 1 (WCAG 2.2, 1.4.11) from both the dark and the light panel, so that figures need not
know the theme. Text and surfaces have their colours in `assets/theme.css`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

SERIES: Final[Sequence[str]] = (
    "#5b7cfa",
    "#0d98a8",
    "#2d9d62",
    "#c27a0e",
    "#8f6ae6",
    "#d2559b",
    "#8a8f1f",
)
OTHERS: Final = "#7a859c"
P50: Final = "#0d98a8"
P95: Final = "#5b7cfa"
P99: Final = "#8f6ae6"
CLIENT_ERRORS: Final = "#c27a0e"
SERVER_ERRORS: Final = "#e5484d"
GRID_LINE: Final = "rgba(128,138,160,.18)"


def translucent(colour: str, opacity: float) -> str:
    """Return a `#rrggbb` colour as `rgba()`."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity:g})"


def colours_of(shown: Iterable[str], known: Iterable[str]) -> Mapping[str, str]:
    """Give each of the `shown` names its colour, no colour twice while there are enough.

    A name prefers the colour of its place among all `known` names, so that it keeps it while others come and go in the
    chart.
    """
    names = sorted(shown)
    place = {name: index for index, name in enumerate(sorted({*known, *names}))}
    given: dict[str, str] = {}
    for name in names:
        wishes = [SERIES[(place[name] + shift) % len(SERIES)] for shift in range(len(SERIES))]
        given[name] = next((colour for colour in wishes if colour not in given.values()), wishes[0])
    return given
