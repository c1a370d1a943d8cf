"""Which series of an answer get an area and a colour of their own in a chart, and which are drawn as one.

Pure; between an answer and `figures.throughput` and its legend.
"""

from __future__ import annotations

from dataclasses import dataclass

from dash_app.shared import palette
from dash_app.shared.names import visible
from query import GroupBy, RedAnswer, RedSeries

UNNAMED = "(no name)"


@dataclass(frozen=True, slots=True)
class Entry:
    """A series with its name for people and its colour."""

    label: str
    colour: str
    series: RedSeries


@dataclass(frozen=True, slots=True)
class Ranked:
    """The busiest series by name, so that they do not change places, and the others."""

    shown: tuple[Entry, ...]
    others: tuple[RedSeries, ...]


def ranked_by(answer: RedAnswer, field: GroupBy, limit: int = len(palette.SERIES)) -> Ranked:
    """Take the `limit` series with the most calls; `field` is what the answer is grouped by."""
    busiest = sorted(answer.items, key=lambda item: (-item.total.calls, item.labels[field]))
    shown = sorted(busiest[:limit], key=lambda item: item.labels[field])
    colours = palette.colours_of((item.labels[field] for item in shown), (item.labels[field] for item in answer.items))
    return Ranked(
        tuple(Entry(visible(item.labels[field] or UNNAMED), colours[item.labels[field]], item) for item in shown),
        tuple(busiest[limit:]),
    )
