"""The answers to questions about metrics, as plain values: times in Unix seconds, values in the metric's own unit.

Made by `query/metric_component.py`; pages, API and alerts show them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Aggregation = Literal["avg", "min", "max", "sum", "last", "rate", "increase", "p50", "p95", "p99"]
"""What is made of the points of a group in a step; `docs/metrics.md` says which one means what for which type."""


@dataclass(frozen=True, slots=True)
class MetricInfo:
    """A metric that is known: name, unit and type together, and what its series differ by."""

    name: str
    unit: str
    type: str
    series_count: int
    services: tuple[str, ...]
    attribute_keys: tuple[str, ...]
    resource_keys: tuple[str, ...]
    aggregations: tuple[Aggregation, ...]
    """Those that can be asked for; the first is what is answered without being asked."""


@dataclass(frozen=True, slots=True)
class MetricsAnswer:
    """The metrics that were sent between the two times, by name. `is_complete` unless there were too many to list."""

    start_s: int
    end_s: int
    items: tuple[MetricInfo, ...]
    is_complete: bool


@dataclass(frozen=True, slots=True)
class MetricValues:
    """A group over time: a value for every step, `None` where nothing is known.

    Beyond the most that an answer holds, the groups with the smallest values are one, whose labels all read
    `query.OVERFLOW`.
    """

    labels: Mapping[str, str]
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class MetricAnswer:
    """A metric over time, in steps of `step_s` seconds from `start_s` on. The last step ends at `end_s`.

    `unit` and `type` are `None` if nothing is known of such a metric in that time.
    """

    start_s: int
    end_s: int
    step_s: int
    name: str
    unit: str | None
    type: str | None
    aggregation: Aggregation
    items: tuple[MetricValues, ...]
