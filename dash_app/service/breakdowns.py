"""By what the requests of a service, what it asks of others and the steps of its models can be told apart.

Pure; the choice is a field of the page's address.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from dash_app.shared.names import visible
from query import OVERFLOW, GroupBy

_REQUESTS: Final = frozenset({"SERVER", "CONSUMER"})
ALL_OTHERS: Final = "(all others)"


@dataclass(frozen=True, slots=True)
class Breakdown:
    """Groups of `kinds` of spans by `group_by`; the first field names a group, the others follow in muted letters.

    `nameless` stands for a first field without a value, `why_empty` for a table without rows.
    """

    title: str
    group_by: tuple[GroupBy, ...]
    nameless: str
    why_empty: str = "No calls"
    kinds: frozenset[str] = _REQUESTS


BREAKDOWNS: Final[Mapping[str, Breakdown]] = MappingProxyType(
    {
        "route": Breakdown("Routes", ("route", "method"), "(no route)"),
        "version": Breakdown("Versions", ("version",), "(no version)"),
        "instance": Breakdown("Instances", ("instance", "version"), "(no instance)"),
        "status": Breakdown("Status", ("status_class",), "(no status)"),
        "model": Breakdown("Models", ("model", "model_version"), "(no model)"),
        "dependency": Breakdown(
            "Dependencies",
            ("peer", "operation", "span_kind"),
            "(no peer)",
            "No CLIENT or PRODUCER spans: nothing that this service asks of others is traced",
            frozenset({"CLIENT", "PRODUCER"}),
        ),
        "step": Breakdown(
            "Model steps",
            ("operation", "model"),
            "(no name)",
            "No INTERNAL spans with a model: the steps inside of this service are not traced",
            frozenset({"INTERNAL"}),
        ),
    }
)
DEFAULT_BREAKDOWN: Final = "route"


def name_and_details(breakdown: Breakdown, labels: Mapping[str, str]) -> tuple[str, str]:
    """Return how a group is called, and what else there is to say of it, as people can read it."""
    first, *others = (labels[field] for field in breakdown.group_by)
    if first == OVERFLOW:
        return ALL_OTHERS, ""
    return visible(first) if first else breakdown.nameless, " ".join(visible(other) for other in others if other)
