"""Marks of alerts on charts over time: a band from when one fired until it was resolved.

Pure; used by the pages whose charts show what rules watch, and by the editor of rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from alerting.notification import Severity
from dash_app.shared import charts, palette
from dash_app.shared.charts import Figure

_COLOURS: Final = {Severity.CRITICAL: palette.SERVER_ERRORS, Severity.WARNING: palette.CLIENT_ERRORS}
_MOST_BANDS: Final = 60
_LETTERS: Final = 75
"""How many letters fit across a chart of a third of a screen's width; names that do not fit would cover others."""


@dataclass(frozen=True, slots=True)
class Band:
    """A time that an alert fired for, in Unix seconds. `label` is what is written on it."""

    severity: Severity
    started_s: float
    ended_s: float
    label: str


def marked(figure: Figure, bands: Sequence[Band]) -> Figure:
    """Return the figure with the bands behind its lines, as far as they lie in its range; those that overlap are one.

    A line at its beginning and its name tell a band from the chart where colours do not.
    """
    low_ms, high_ms = figure["layout"]["xaxis"]["range"]
    shapes = []
    shown = merged(bands)[-_MOST_BANDS:]
    for band in shown:
        start_ms, end_ms = max(1000 * band.started_s, low_ms), min(1000 * band.ended_s, high_ms)
        if start_ms > high_ms or end_ms < low_ms:
            continue
        has_room = (end_ms - start_ms) * _LETTERS >= (high_ms - low_ms) * len(band.label)
        if len(shown) > 1 and not has_room:
            band = replace(band, label="")
        shapes.append(_area(band, start_ms, end_ms, is_late=start_ms - low_ms > high_ms - start_ms))
        if 1000 * band.started_s >= low_ms:
            shapes.append(_edge(band, start_ms))
    if not shapes:
        return figure
    layout = figure["layout"]
    return figure | {"layout": layout | {"shapes": [*shapes, *layout.get("shapes", ())]}}


def merged(bands: Sequence[Band]) -> list[Band]:
    """Make one of bands that overlap: as grave as the gravest; its label tells how many if they differ."""
    found: list[list[Band]] = []
    ends_s = float("-inf")
    for band in sorted(bands, key=lambda one: (one.started_s, one.ended_s)):
        if found and band.started_s <= ends_s:
            found[-1].append(band)
        else:
            found.append([band])
        ends_s = max(ends_s, band.ended_s) if len(found[-1]) > 1 else band.ended_s
    return [_one_of(group) for group in found]


def _one_of(group: Sequence[Band]) -> Band:
    labels = sorted({band.label for band in group})
    is_critical = any(band.severity is Severity.CRITICAL for band in group)
    return Band(
        Severity.CRITICAL if is_critical else Severity.WARNING,
        group[0].started_s,
        max(band.ended_s for band in group),
        labels[0] if len(labels) == 1 else f"{len(labels)} alerts",
    )


def _area(band: Band, start_ms: float, end_ms: float, *, is_late: bool) -> dict[str, Any]:
    """Return the band; its name begins at its left edge, or ends at the right one where there is no room after it."""
    shape = _shape("rect", start_ms, end_ms) | {
        "fillcolor": palette.translucent(_COLOURS[band.severity], 0.13),
        "line": {"width": 0},
        "layer": "below",
    }
    if band.label:
        position = "top right" if is_late else "top left"
        shape["label"] = {"text": charts.plain(band.label), "textposition": position, "font": {"size": 10}}
    return shape


def _edge(band: Band, start_ms: float) -> dict[str, Any]:
    return _shape("line", start_ms, start_ms) | {"line": {"width": 1.2, "color": _COLOURS[band.severity]}}


def _shape(kind: str, start_ms: float, end_ms: float) -> dict[str, Any]:
    return {
        "type": kind,
        "xref": "x",
        "yref": "paper",
        "x0": round(start_ms),
        "x1": round(end_ms),
        "y0": 0,
        "y1": 1,
    }
