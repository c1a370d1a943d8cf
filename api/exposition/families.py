"""Families of samples as Prometheus knows them, and their two ways of being written.

Pure, and clear of FastAPI, as the roles without an API write them too. Formats: Prometheus text 0.0.4, OpenMetrics 1.0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

Kind = Literal["counter", "gauge", "histogram"]
Labels = Sequence[tuple[str, str]]

TEXT_MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
OPEN_METRICS_MEDIA_TYPE: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Buckets:
    """A histogram at a moment: how many were at most each bound, how many there were, and their sum."""

    bounds: Sequence[float]
    counts: Sequence[int]
    count: int
    sum: float


@dataclass(frozen=True, slots=True)
class Family:
    """All samples of one name, which is without `_total`; labels of a sample are in any order."""

    name: str
    kind: Kind
    help: str
    samples: list[tuple[Labels, float | Buckets]] = field(default_factory=list)

    def add(self, value: float | Buckets | None, **labels: str) -> None:
        """Add a sample, unless nothing is known of it."""
        if value is not None:
            self.samples.append((tuple(labels.items()), value))


def text_of(families: Iterable[Family]) -> str:
    """Return the families that have samples in text format 0.0.4, where a counter is called `_total` all over."""
    lines: list[str] = []
    for family in families:
        if family.samples:
            name = f"{family.name}_total" if family.kind == "counter" else family.name
            lines += [f"# HELP {name} {_help(family.help)}", f"# TYPE {name} {family.kind}", *_samples(family)]
    return "".join(f"{line}\n" for line in lines)


def open_metrics_of(families: Iterable[Family]) -> str:
    """Return the families that have samples as OpenMetrics 1.0, where only the samples of a counter end in `_total`."""
    lines: list[str] = []
    for family in families:
        if family.samples:
            text = _escaped(family.help)
            lines += [f"# HELP {family.name} {text}", f"# TYPE {family.name} {family.kind}", *_samples(family)]
    return "".join(f"{line}\n" for line in [*lines, "# EOF"])


def _samples(family: Family) -> Iterator[str]:
    name = f"{family.name}_total" if family.kind == "counter" else family.name
    for labels, value in family.samples:
        if isinstance(value, Buckets):
            for bound, count in zip((*value.bounds, math.inf), (*value.counts, value.count), strict=True):
                yield _sample(f"{name}_bucket", (*labels, ("le", _number(bound))), count)
            yield _sample(f"{name}_count", labels, value.count)
            yield _sample(f"{name}_sum", labels, value.sum)
        else:
            yield _sample(name, labels, value)


def _sample(name: str, labels: Labels, value: float) -> str:
    text = ",".join(f'{key}="{_escaped(label)}"' for key, label in labels)
    return f"{name}{{{text}}} {_number(value)}" if text else f"{name} {_number(value)}"


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return "NaN" if math.isnan(value) else str(value)


def _help(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _escaped(label: str) -> str:
    # What is no text, such as half a surrogate pair, cannot be sent as UTF-8.
    whole = label.encode("utf-8", "replace").decode()
    return whole.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
