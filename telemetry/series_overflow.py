"""What is known of a service with more series than are kept apart.

The processor's limits report it, `api/` shows it beside the figures.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SeriesOverflow:
    """What is known of a service with too many series.

    `estimate` is how many series it would have, `distinct` how many values each field has, by the field's name, and
    `cause` the field with the most.
    """

    service_name: str
    kept: int
    estimate: int
    distinct: dict[str, int]
    cause: str
