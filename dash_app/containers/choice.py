"""What is chosen on the page of containers: a grouping, a filter, one group, one resource; from the address.

Pure; takes nothing unknown from the address.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dash_app.shared.resource_rows import key_of
from dash_app.shell.page import Question
from dash_app.shell.view import View
from query import Resource, ResourceGrouping

GROUPINGS: Final[dict[str, ResourceGrouping]] = {
    "resource": "resource",
    "service": "service",
    "image": "image",
    "compose_project": "compose_project",
    "host": "host",
}
GROUP_TITLES: Final = {
    "service": "Service",
    "image": "Image",
    "compose_project": "Compose project",
    "host": "Host",
}
_LONGEST_FILTER: Final = 200


@dataclass(frozen=True, slots=True)
class Choice:
    """`group_by` is what the table's rows are. `only` is the name of the one group of `of` that is shown."""

    view: View
    group_by: ResourceGrouping = "resource"
    text: str = ""
    resource: str | None = None
    of: ResourceGrouping = "resource"
    only: str | None = None

    def shows(self, one: Resource) -> bool:
        """Tell whether a resource passes the filter and belongs to the chosen group."""
        identity, owner = one.identity, one.owner
        names = (identity.name, owner.service, identity.image, identity.compose_project, identity.host, identity.id)
        is_named = not self.text or any(self.text.lower() in name.lower() for name in names)
        return is_named and (self.only is None or group_name(one, self.of) == self.only)


def group_name(one: Resource, grouping: ResourceGrouping) -> str:
    """Return the name of the group that a resource belongs to; empty for those without a name of this kind."""
    match grouping:
        case "service":
            return one.owner.service
        case "image":
            return one.identity.image
        case "compose_project":
            return one.identity.compose_project
        case "host":
            return one.identity.host
    return key_of(one)


def choice_of(question: Question) -> Choice:
    """Read the choice from the fields of the address."""
    fields = question.fields
    of = GROUPINGS.get(fields.get("of", ""), "resource")
    return Choice(
        question.view,
        GROUPINGS.get(fields.get("by", ""), "resource"),
        fields.get("q", "").strip()[:_LONGEST_FILTER],
        fields.get("resource") or None,
        of,
        # A group without a name is written as a blank, since nothing at all is no choice.
        None if of == "resource" or "only" not in fields else fields["only"].strip(),
    )
