"""Figures as people read them: sensible digits, units, no more precision than is known.

Pure; used by cards, rows and legends. Durations come in seconds, ratios 0 to 1, as in the answers of `query/`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

NOTHING: Final = "–"
"""Stands where there is no figure, because there were no calls."""

_UNITS_OF_DURATION: Final = ((1e-6, "µs"), (1e-3, "ms"), (1.0, "s"))
_LONGEST_IN_SECONDS: Final = 999.5
_UNITS_OF_SIZE: Final = ("KiB", "MiB", "GiB", "TiB", "PiB")
_LONGEST_SIZE: Final = 1023.5


class Figure(NamedTuple):
    """A number and its unit, apart so that a card can set them in different sizes."""

    number: str
    unit: str

    @property
    def text(self) -> str:
        """Number and unit with a space that does not break, or only the number where there is no unit."""
        return f"{self.number}\u00a0{self.unit}" if self.unit else self.number


def significant(value: float) -> str:
    """Return three significant digits, and all digits before the point: 0.123, 1.23, 12.3, 1,234."""
    size = abs(value)
    decimals = 3 if size < 0.9995 else 2 if size < 9.995 else 1 if size < 99.95 else 0
    return f"{value:,.{decimals}f}"


def duration(seconds: float | None) -> Figure:
    """Return a duration in µs, ms or s, whichever gives one to three digits before the point; minutes past 1000 s."""
    if seconds is None:
        return Figure(NOTHING, "")
    if seconds == 0:
        return Figure("0", "ms")
    if seconds >= _LONGEST_IN_SECONDS:
        return Figure(significant(seconds / 60), "min")
    size, unit = next(pair for pair in _UNITS_OF_DURATION if seconds < pair[0] * _LONGEST_IN_SECONDS)
    return Figure(significant(seconds / size), unit)


def round_duration(seconds: float) -> str:
    """Return a duration of one digit, such as that of a tick, without a point: 200 ms, 5 s."""
    size, unit = next((pair for pair in reversed(_UNITS_OF_DURATION) if seconds >= pair[0]), _UNITS_OF_DURATION[0])
    return f"{round(seconds / size, 3):g}\u00a0{unit}"


def rate(per_s: float) -> Figure:
    """Return calls per second; thousands from a million on."""
    if per_s == 0:
        return Figure("0", "req/s")
    if per_s < 0.0005:
        return Figure("<0.001", "req/s")
    if per_s >= 999_999.5:
        return Figure(significant(per_s / 1e6), "M req/s")
    return Figure(significant(per_s), "req/s")


def percent(ratio: float | None) -> Figure:
    """Return a ratio as per cent with two decimals below ten, never rounding something to nothing."""
    if ratio is None:
        return Figure(NOTHING, "")
    share = 100 * ratio
    if share == 0:
        return Figure("0", "%")
    if share < 0.005:
        return Figure("<0.01", "%")
    if share > 99.95 and ratio < 1:
        return Figure(">99.9", "%")
    return Figure(f"{share:.2f}" if share < 9.995 else f"{share:.1f}" if ratio < 1 else "100", "%")


def apdex(score: float | None) -> Figure:
    """Return an Apdex with two decimals, as its specification writes it; never rounded up to 1."""
    if score is None:
        return Figure(NOTHING, "")
    return Figure("1.00" if score >= 1 else f"{min(score, 0.99):.2f}", "")


def size(value_bytes: float | None) -> Figure:
    """Return a number of bytes in the binary unit that gives one to four digits before the point."""
    if value_bytes is None:
        return Figure(NOTHING, "")
    value, unit = value_bytes, "B"
    for larger in _UNITS_OF_SIZE:
        if abs(value) < _LONGEST_SIZE:
            break
        value, unit = value / 1024, larger
    return Figure(f"{value:,.0f}" if unit == "B" else significant(value), unit)


def age(seconds: float) -> str:
    """Return how long ago something was in one unit, rounded down: "45 s", "2 min", "3 h"."""
    size, unit = (1, "s") if seconds < 60 else (60, "min") if seconds < 3_600 else (3_600, "h")
    return f"{int(max(seconds, 0) // size)}\u00a0{unit}"


def length(seconds: int) -> str:
    """Return a time in the largest unit that it is a whole number of: "90 s", "36 h", "730 d"."""
    size, unit = next(one for one in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")) if not seconds % one[0])
    return f"{seconds // size:,}\u00a0{unit}"


def count(number: int) -> str:
    """Return a whole number with its thousands apart."""
    return f"{number:,}"


def plural(number: int, noun: str) -> str:
    """Return "1 service", "2 services"."""
    return f"{count(number)} {noun}{'' if number == 1 else 's'}"
