"""By what the requests of a service, what it asks of others and the steps of its models can be told apart.

Pure; the choice is a field of the page's address.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from dash_app.shared.names import visible
from query import OVERFLOW, GroupBy

_REQUESTS: Final = frozenset({"SERVER", "CONSUMER"})
ALL_OTHERS: Final = "(all others)"


@dataclass(frozen=True, slots=True)
class Breakdown:
    """Groups of `kinds` of spans by `group_by`; the first field names a group, the others follow in muted letters.

    `nameless` stands for a first field without a value, `why_empty` for a table without rows. `traces` are the fields
    of the page of traces that lead to the requests of a group, by field of the group; `traced` is what else it is told.
    """

    title: str
    group_by: tuple[GroupBy, ...]
    nameless: str
    why_empty: str = "No calls"
    kinds: frozenset[str] = _REQUESTS
    traces: Mapping[GroupBy, str] = field(default_factory=dict)
    traced: Mapping[str, str] = field(default_factory=dict)


BREAKDOWNS: Final[Mapping[str, Breakdown]] = MappingProxyType(
    {
        "route": Breakdown("Routes", ("route", "method"), "(no route)", traces={"route": "route"}),
        "version": Breakdown("Versions", ("version",), "(no version)", traces={"version": "version"}),
        "instance": Breakdown("Instances", ("instance", "version"), "(no instance)", traces={"instance": "instance"}),
        "status": Breakdown("Status", ("status_class",), "(no status)", traces={"status_class": "status"}),
        "model": Breakdown("Models", ("model", "model_version"), "(no model)", traces={"model": "model"}),
        "dependency": Breakdown(
            "Dependencies",
            ("peer", "operation", "span_kind"),
            "(no peer)",
            "No CLIENT or PRODUCER spans: nothing that this service asks of others is traced",
            frozenset({"CLIENT", "PRODUCER"}),
            traces={"operation": "operation"},
            traced={"kind": "dependency"},
        ),
        "step": Breakdown(
            "Model steps",
            ("operation", "model"),
            "(no name)",
            "No INTERNAL spans with a model: the steps inside of this service are not traced",
            frozenset({"INTERNAL"}),
            traces={"operation": "operation", "model": "model"},
            traced={"kind": "step"},
        ),
    }
)
DEFAULT_BREAKDOWN: Final = "route"


def traces_of(breakdown: Breakdown, labels: Mapping[str, str], service: str) -> dict[str, str] | None:
    """Return the fields of the page of traces that show the requests of a group, the slowest first.

    Nothing where they would show others too: what has no value cannot be asked for.
    """
    wanted = {name: labels[group] for group, name in breakdown.traces.items() if labels[group]}
    if not wanted or OVERFLOW in labels.values():
        return None
    return {"name": service, "sort": "duration", **breakdown.traced, **wanted}


def name_and_details(breakdown: Breakdown, labels: Mapping[str, str]) -> tuple[str, str]:
    """Return how a group is called, and what else there is to say of it, as people can read it."""
    first, *others = (labels[field] for field in breakdown.group_by)
    if first == OVERFLOW:
        return ALL_OTHERS, ""
    return visible(first) if first else breakdown.nameless, " ".join(visible(other) for other in others if other)
