"""What was counted and what is held now, for Prometheus and as JSON.

Shared by the API and by the health app of roles without one, for which it stays clear of FastAPI and of `query`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Literal

from api.exposition.families import Family
from telemetry import Figures, SeriesOverflow
from telemetry.counters import HELP, FigureName, Labels

Scope = Literal["process", "workers"]
"""Of whom the figures are: of the process that answers, or of its worker processes together."""

ReadFigures = Callable[[], Awaitable[Figures]]
Kind = Literal["counter", "gauge"]


def prometheus_name(name: FigureName) -> str:
    """Return what a figure is called at `/metrics`, with its unit spelt out, as Prometheus names metrics."""
    return f"modelwatch_{name.removesuffix('_s')}_seconds" if name.endswith("_s") else f"modelwatch_{name}"


def figure_families(figures: Figures) -> list[Family]:
    """Return counters as `modelwatch_<name>_total` and gauges as `modelwatch_<name>`, in Prometheus' words."""
    families: dict[tuple[FigureName, Kind], Family] = {}
    for kind, name, labels, value in _items(figures):
        family = families.get((name, kind))
        if family is None:
            family = families[name, kind] = Family(prometheus_name(name), kind, HELP[name])
        family.samples.append((labels, value))
    return list(families.values())


def pipeline_document(figures: Figures, scope: Scope = "process") -> dict[str, Any]:
    """Return `models.Pipeline`."""
    items = [
        {"kind": kind, "name": name, "labels": dict(labels), "value": value}
        for kind, name, labels, value in _items(figures)
    ]
    return {"scope": scope, "items": items, "overflows": [_overflow(overflow) for overflow in figures.overflows]}


def _overflow(overflow: SeriesOverflow) -> dict[str, Any]:
    return {
        "service": overflow.service_name,
        "kept": overflow.kept,
        "estimate": overflow.estimate,
        "distinct": overflow.distinct,
        "cause": overflow.cause,
    }


def _items(figures: Figures) -> Iterator[tuple[Kind, FigureName, Labels, float]]:
    """Yield counters, then gauges, each by name and labels."""
    for (counter, labels), count in sorted(figures.counters.items()):
        yield "counter", counter, labels, count
    for (gauge, labels), value in sorted(figures.gauges.items()):
        yield "gauge", gauge, labels, value
