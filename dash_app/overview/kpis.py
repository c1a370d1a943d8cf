"""The cards at the top of the page: each a figure over the range, how it changed, and its course.

Pure, from a `Snapshot` to values; `cards.py` turns them into components.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from dash_app.overview.snapshot import Snapshot
from dash_app.shared import formatting
from dash_app.shared.formatting import Figure
from query import RedStep, RedTotal, Status

Tone = Literal["good", "bad", "neutral"]
Colour = Literal["accent", "critical", "degraded"]

_WORST_FIRST: Final = (Status.CRITICAL, Status.DEGRADED, Status.HEALTHY, Status.NO_DATA)
_NOTEWORTHY_SHARE: Final = 0.05
_NOTEWORTHY_RATIO: Final = 0.001
_LARGEST_SHARE: Final = 9.995


@dataclass(frozen=True, slots=True)
class Change:
    """How a figure of the later half of the range differs from the earlier half; `tone` judges it."""

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


def kpis_of(snapshot: Snapshot) -> tuple[Kpi, ...]:
    """Return the cards, in their order on the page."""
    total, words = snapshot.total, snapshot.view.range.words
    return (
        Kpi(
            "requests",
            "Requests",
            formatting.rate(total.rate_per_s),
            f"{formatting.count(total.calls)} in {snapshot.view.range.name}",
            _relative(snapshot, lambda half: half.rate_per_s, is_rise_bad=None),
            tuple(step.calls / seconds for step, seconds in timed_steps(snapshot)),
            "accent",
            f"Requests per second over the last {words}, and how many there were",
        ),
        _latency(snapshot, "P50", lambda part: part.p50_s),
        _latency(snapshot, "P95", lambda part: part.p95_s),
        Kpi(
            "error-rate",
            "Error rate",
            formatting.percent(total.error_rate if total.calls else None),
            formatting.plural(total.errors, "error"),
            _difference(snapshot, lambda half: half.errors, is_rise_bad=True),
            _course(snapshot, lambda step: _ratio(step.errors, step.calls)),
            "critical",
            f"Share of requests over the last {words} that failed: server errors and exceptions",
        ),
        Kpi(
            "client-errors",
            "Client errors",
            formatting.percent(_ratio(total.client_errors, total.calls)),
            f"{formatting.count(total.client_errors)} with 4xx",
            _difference(snapshot, lambda half: half.client_errors, is_rise_bad=None),
            _course(snapshot, lambda step: _ratio(step.client_errors, step.calls)),
            "degraded",
            f"Share of requests over the last {words} that were refused as the caller's mistake",
        ),
        _unhealthy(snapshot),
    )


def timed_steps(snapshot: Snapshot) -> list[tuple[RedStep, int]]:
    """Return the steps of what is charted, each with the seconds it covers: the last one ends with the range."""
    overall = snapshot.overall
    steps = overall.items[0].steps if overall.items else ()
    return [(step, max(min(overall.step_s, overall.end_s - step.time_s), 1)) for step in steps]


def _course(snapshot: Snapshot, value_of: Callable[[RedStep], float | None]) -> tuple[float | None, ...]:
    return tuple(value_of(step) for step, _ in timed_steps(snapshot))


def _latency(snapshot: Snapshot, name: str, value_of: Callable[[RedStep | RedTotal], float | None]) -> Kpi:
    share = {"P50": "Half", "P95": "95 of 100"}[name]
    return Kpi(
        name.lower(),
        f"{name} latency",
        formatting.duration(value_of(snapshot.total)),
        "",
        _relative(snapshot, value_of, is_rise_bad=True),
        _course(snapshot, value_of),
        "accent",
        f"{share} of the requests over the last {snapshot.view.range.words} were answered within this time",
    )


def _unhealthy(snapshot: Snapshot) -> Kpi:
    items = snapshot.services.items
    shares = tuple((status, sum(item.status is status for item in items)) for status in _WORST_FIRST)
    critical, degraded, _, silent = (number for _, number in shares)
    return Kpi(
        "unhealthy",
        "Unhealthy",
        Figure(formatting.count(critical + degraded), f"of {formatting.plural(len(items), 'service')}"),
        "",
        _worst(critical, degraded, silent),
        (),
        "accent",
        "Services that are critical or degraded now, of those seen in the range; silent ones are not called any more",
        shares,
    )


def _worst(critical: int, degraded: int, silent: int) -> Change:
    """How many have the worst status there is. A service that is not called any more may be dead: it is not well."""
    if critical or degraded:
        return Change(f"{critical} critical" if critical else f"{degraded} degraded", "bad")
    return Change(f"{silent} silent", "neutral") if silent else Change("all well", "good")


def _relative(
    snapshot: Snapshot, value_of: Callable[[RedTotal], float | None], is_rise_bad: bool | None
) -> Change | None:
    """How many per cent more or less; nothing where one half had no calls."""
    earlier, later = (value_of(half) if half.calls else None for half in snapshot.halves)
    if not earlier or later is None:
        return None
    change = later / earlier - 1
    is_noteworthy = abs(change) >= _NOTEWORTHY_SHARE
    text = f"×{later / earlier:,.1f}" if change >= _LARGEST_SHARE else f"{100 * change:+.1f}\u00a0%"
    return Change(_with_arrow(text, change, is_noteworthy), _tone(change, is_noteworthy, is_rise_bad))


def _difference(snapshot: Snapshot, hits_of: Callable[[RedTotal], int], is_rise_bad: bool | None) -> Change | None:
    """How many percentage points more or less, since a share of a small share misleads."""
    earlier, later = (_ratio(hits_of(half), half.calls) for half in snapshot.halves)
    if earlier is None or later is None:
        return None
    change = later - earlier
    is_noteworthy = abs(change) >= _NOTEWORTHY_RATIO
    text = f"{100 * change:+.2f}\u00a0pp"
    return Change(_with_arrow(text, change, is_noteworthy), _tone(change, is_noteworthy, is_rise_bad))


def _with_arrow(text: str, change: float, is_noteworthy: bool) -> str:
    arrow = ("▲" if change > 0 else "▼") if is_noteworthy else "●"
    return f"{arrow}\u00a0{text.replace('-', '−')}"


def _tone(change: float, is_noteworthy: bool, is_rise_bad: bool | None) -> Tone:
    if is_rise_bad is None or not is_noteworthy:
        return "neutral"
    return "bad" if (change > 0) == is_rise_bad else "good"


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
