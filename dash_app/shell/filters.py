"""The filters that act the same on every page: by environment, service, model and version.

Pure. Each is a field of the address and a choice in the bar; together they are one filter of series. What is offered to
choose from comes from `filter_choices.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from dash_app.shared.names import visible
from query import GroupBy, SeriesFilter


@dataclass(frozen=True, slots=True)
class Filter:
    """One field of the address: which labels it is about, and what people call it, alone and before its value."""

    field: str
    label: GroupBy
    attribute: str
    """The field of `SeriesFilter`."""
    title: str
    every: str
    preposition: str

    @property
    def id(self) -> str:
        """The id of the component in the bar."""
        return f"filter-{self.field}"

    def value_in(self, where: SeriesFilter) -> str | None:
        """Return the value that is let through, or `None` for every one."""
        value: str | None = getattr(where, self.attribute)
        return value


FILTERS: Final = (
    Filter("env", "environment", "deployment_environment", "Environment", "All environments", "in the environment"),
    Filter("service", "service", "service_name", "Service", "All services", "of the service"),
    Filter("model", "model", "model_name", "Model", "All models", "with the model"),
    Filter("version", "version", "service_version", "Version", "All versions", "of version"),
)
EVERY_FILTER: Final = frozenset(one.field for one in FILTERS)
EVERYTHING: Final = SeriesFilter()


def filter_of(fields: Mapping[str, str], applying: Collection[str] = EVERY_FILTER) -> SeriesFilter:
    """Read a filter from the fields of an address: those of `applying`, the others let everything through.

    Values may be anything. What was stored has a visible mark in the place of NUL, which databases refuse.
    """
    chosen: dict[str, Any] = {
        one.attribute: fields[one.field].replace("\0", "\ufffd")
        for one in FILTERS
        if one.field in applying and fields.get(one.field)
    }
    return replace(EVERYTHING, **chosen)


def fields_of_filter(where: SeriesFilter) -> dict[str, str | None]:
    """Return the fields of the address that say the same; `filter_of` reads them back."""
    return {one.field: one.value_in(where) for one in FILTERS}


def may_be_of(where: SeriesFilter, labels: Mapping[str, str]) -> bool:
    """Tell whether something with these labels passes, or at least does not certainly belong elsewhere.

    What is not told apart by a label, such as an alert about a whole service, is not left out by it.
    """
    wanted = ((one.label, one.value_in(where)) for one in FILTERS)
    return all(value is None or labels.get(label, value) == value for label, value in wanted)


def words_of(where: SeriesFilter) -> str:
    """Return the filter as part of a sentence, such as " with the model iris in the environment prod"; or nothing."""
    in_order = sorted(FILTERS, key=lambda one: one.field == "env")  # the place comes last
    return "".join(
        f" {one.preposition} {visible(value)}" for one in in_order if (value := one.value_in(where)) is not None
    )
