"""The cards at the top of a page: each a figure over the range, how it changed, and its course.

Pure, from answers to values; `kpi_cards.py` turns them into components.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from dash_app.shared import formatting
from dash_app.shared.formatting import Figure
from query import RedAnswer, RedStep, RedTotal, Status

Tone = Literal["good", "bad", "neutral"]
Colour = Literal["accent", "critical", "degraded"]

_NOTEWORTHY_SHARE: Final = 0.05
_NOTEWORTHY_RATIO: Final = 0.001
_NOTEWORTHY_SCORE: Final = 0.01
_LARGEST_SHARE: Final = 9.995


@dataclass(frozen=True, slots=True)
class Change:
    """How a figure differs from that of before; `tone` judges it."""

    text: str
    tone: Tone


@dataclass(frozen=True, slots=True)
class Kpi:
    """One card. `course` has one value per step, `None` where there were no calls; `note` follows the unit."""

    name: str
    title: str
    figure: Figure
    note: str
    change: Change | None
    course: tuple[float | None, ...]
    colour: Colour
    explanation: str
    shares: tuple[tuple[Status, int], ...] = ()
    """How many services have which status, the worst first."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What cards are made of: totals over a range, a pair of totals whose change is told, and the course.

    `words` and `short` name the range.
    """

    total: RedTotal
    pair: tuple[RedTotal, RedTotal]
    overall: RedAnswer
    words: str
    short: str


def request_rate(measured: Measured) -> Kpi:
    """Return requests per second."""
    total = measured.total
    return Kpi(
        "requests",
        "Requests",
        formatting.rate(total.rate_per_s),
        f"{formatting.count(total.calls)} in {measured.short}",
        _relative(measured, lambda half: half.rate_per_s, is_rise_bad=None),
        tuple(step.calls / seconds for step, seconds in timed_steps(measured.overall)),
        "accent",
        f"Requests per second over {measured.words}, and how many there were",
    )


def error_rate(measured: Measured) -> Kpi:
    """Return the share of requests that failed."""
    total = measured.total
    return Kpi(
        "error-rate",
        "Error rate",
        formatting.percent(total.error_rate if total.calls else None),
        formatting.plural(total.errors, "error"),
        _difference(measured, lambda half: half.errors, is_rise_bad=True),
        _course(measured, lambda step: _ratio(step.errors, step.calls)),
        "critical",
        f"Share of requests over {measured.words} that failed: server errors and exceptions",
    )


def client_errors(measured: Measured) -> Kpi:
    """Return the share of requests that were refused."""
    total = measured.total
    return Kpi(
        "client-errors",
        "Client errors",
        formatting.percent(_ratio(total.client_errors, total.calls)),
        f"{formatting.count(total.client_errors)} with 4xx",
        _difference(measured, lambda half: half.client_errors, is_rise_bad=None),
        _course(measured, lambda step: _ratio(step.client_errors, step.calls)),
        "degraded",
        f"Share of requests over {measured.words} that were refused as the caller's mistake",
    )


def latency(measured: Measured, name: Literal["P50", "P95", "P99"]) -> Kpi:
    """Return a percentile of durations."""
    share = {"P50": "Half", "P95": "95 of 100", "P99": "99 of 100"}[name]

    def value_of(part: RedStep | RedTotal) -> float | None:
        return {"P50": part.p50_s, "P95": part.p95_s, "P99": part.p99_s}[name]

    return Kpi(
        name.lower(),
        f"{name} latency",
        formatting.duration(value_of(measured.total)),
        "",
        _relative(measured, value_of, is_rise_bad=True),
        _course(measured, value_of),
        "accent",
        f"{share} of the requests over {measured.words} were answered within this time",
    )


def apdex(measured: Measured) -> Kpi:
    """Return how content callers are with the speed of answers."""
    score = measured.total.apdex
    return Kpi(
        "apdex",
        "Apdex",
        formatting.apdex(score),
        _rating(score),
        _points(measured),
        (),
        "accent",
        f"How fast requests over {measured.words} were answered, from 0 to 1: those within the target count in full, "
        "those within four times that by half, others and failed ones not at all",
    )


_RATINGS: Final = ((0.94, "excellent"), (0.85, "good"), (0.7, "fair"), (0.5, "poor"))
"""From which score on (Apdex Technical Specification 1.1)."""


def _rating(score: float | None) -> str:
    if score is None:
        return ""
    return next((name for least, name in _RATINGS if score >= least), "unacceptable")


def _points(measured: Measured) -> Change | None:
    earlier, later = (half.apdex for half in measured.pair)
    if earlier is None or later is None:
        return None
    change = later - earlier
    is_noteworthy = abs(change) >= _NOTEWORTHY_SCORE
    tone = _tone(change, is_noteworthy, is_rise_bad=False)
    return Change(_with_arrow(_signed(change), change, is_noteworthy), tone)


def timed_steps(overall: RedAnswer) -> list[tuple[RedStep, int]]:
    """Return the steps of what is charted, each with the seconds it covers: the last one ends with the range."""
    steps = overall.items[0].steps if overall.items else ()
    return [(step, max(min(overall.step_s, overall.end_s - step.time_s), 1)) for step in steps]


def _course(measured: Measured, value_of: Callable[[RedStep], float | None]) -> tuple[float | None, ...]:
    return tuple(value_of(step) for step, _ in timed_steps(measured.overall))


def _relative(
    measured: Measured, value_of: Callable[[RedTotal], float | None], is_rise_bad: bool | None
) -> Change | None:
    """How many per cent more or less; nothing where one of both had no calls."""
    earlier, later = (value_of(half) if half.calls else None for half in measured.pair)
    if not earlier or later is None:
        return None
    change = later / earlier - 1
    is_noteworthy = abs(change) >= _NOTEWORTHY_SHARE
    text = f"×{later / earlier:,.1f}" if change >= _LARGEST_SHARE else f"{_signed(100 * change, 1)}\u00a0%"
    return Change(_with_arrow(text, change, is_noteworthy), _tone(change, is_noteworthy, is_rise_bad))


def _difference(measured: Measured, hits_of: Callable[[RedTotal], int], is_rise_bad: bool | None) -> Change | None:
    """How many percentage points more or less, since a share of a small share misleads."""
    earlier, later = (_ratio(hits_of(half), half.calls) for half in measured.pair)
    if earlier is None or later is None:
        return None
    change = later - earlier
    is_noteworthy = abs(change) >= _NOTEWORTHY_RATIO
    text = f"{_signed(100 * change)}\u00a0pp"
    return Change(_with_arrow(text, change, is_noteworthy), _tone(change, is_noteworthy, is_rise_bad))


def _signed(change: float, decimals: int = 2) -> str:
    """Return the number with its sign; what is rounded to nothing has none."""
    return f"{round(change, decimals):+.{decimals}f}" if round(change, decimals) else f"{0:.{decimals}f}"


def _with_arrow(text: str, change: float, is_noteworthy: bool) -> str:
    arrow = ("▲" if change > 0 else "▼") if is_noteworthy else "●"
    return f"{arrow}\u00a0{text.replace('-', '−')}"


def _tone(change: float, is_noteworthy: bool, is_rise_bad: bool | None) -> Tone:
    if is_rise_bad is None or not is_noteworthy:
        return "neutral"
    return "bad" if (change > 0) == is_rise_bad else "good"


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
