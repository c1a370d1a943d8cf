"""Which group of an answer a series belongs to.

Pure; used when points become cells and when cells become the items of an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Final

from query.answers import GroupBy
from storage.ports import SeriesFilter
from telemetry import SeriesKey

GroupKey = tuple[str, ...]
"""The values of the `group_by` fields of one group, in their order."""

FIELD_OF: Final[Mapping[GroupBy, str]] = {
    "service": "service_name",
    "version": "service_version",
    "instance": "service_instance_id",
    "environment": "deployment_environment",
    "model": "model_name",
    "model_version": "model_version",
    "method": "http_method",
    "route": "http_route",
    "status_class": "http_status_class",
    "span_kind": "span_kind",
    "peer": "peer",
    "operation": "operation",
}


def grouper(group_by: Sequence[GroupBy], where: SeriesFilter) -> Callable[[SeriesKey], GroupKey | None]:
    """Return the function from a series to its group, `None` if the filter keeps it out; it remembers what it said.

    Without `group_by` all series are one group. For one question: what it remembers is not bounded.
    """
    positions = [SeriesKey._fields.index(FIELD_OF[field]) for field in group_by]

    @cache
    def group_of(series: SeriesKey) -> GroupKey | None:
        return tuple([series[position] for position in positions]) if where.matches(series) else None

    return group_of


def fields_of(group_by: Sequence[GroupBy]) -> frozenset[str]:
    """Return the fields of series that matter to an answer with these groups."""
    return frozenset(FIELD_OF[field] for field in group_by) | {"http_status_class"}  # which tells client errors


def labels_of(group_by: Sequence[GroupBy], key: GroupKey) -> dict[str, str]:
    """Return a group's key with the names of its fields."""
    return dict(zip(group_by, key, strict=True))
