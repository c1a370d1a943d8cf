"""What was counted and what is held now, as Prometheus reads it and as JSON.

Shared by the API and by the health app of roles without one, for which it stays clear of FastAPI and of `query`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final, Literal

from telemetry import Figures, SeriesOverflow
from telemetry.counters import HELP, FigureName, Labels

Scope = Literal["process", "workers"]
"""Of whom the figures are: of the process that answers, or of its worker processes together."""

ReadFigures = Callable[[], Awaitable[Figures]]
Kind = Literal["counter", "gauge"]

PROMETHEUS_MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


def prometheus_text(figures: Figures) -> str:
    """Return counters as `modelwatch_<name>_total` and gauges as `modelwatch_<name>`, in text format 0.0.4."""
    samples: defaultdict[tuple[FigureName, Kind], list[str]] = defaultdict(list)
    for kind, name, labels, value in _items(figures):
        text = ",".join(f'{key}="{_escaped(label)}"' for key, label in labels)
        samples[name, kind].append(f"{{{text}}} {value}" if text else f" {value}")
    lines: list[str] = []
    for (name, kind), values in samples.items():
        metric = f"modelwatch_{name}_total" if kind == "counter" else f"modelwatch_{name}"
        lines += [f"# HELP {metric} {HELP[name]}", f"# TYPE {metric} {kind}"]
        lines += [metric + value for value in values]
    return "".join(line + "\n" for line in lines)


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


def _escaped(label: str) -> str:
    return label.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
