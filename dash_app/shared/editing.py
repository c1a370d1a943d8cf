"""What marks the controls that change something, so that they are disabled, with the reason, for who may look only.

Used by pages; `shell/reader.py` acts on it. The server refuses such changes in any case.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from dash import html
from dash.development.base_component import Component

from access.identity import WHY_NOT

FOR_EDITORS: Final = "for-editors"
FOR_VIEWERS: Final = "for-viewers"


def editors_only(
    children: Component | Sequence[Component] | None = None, class_name: str = "", **more: Any
) -> Component:
    """Return a group whose fields and buttons a viewer sees disabled; links in it go on working."""
    made: Component = html.Fieldset(children, className=f"{FOR_EDITORS} {class_name}".strip(), **more)
    return made


def why_disabled() -> Component:
    """Return the sentence that says why; only viewers see it."""
    return html.Div(WHY_NOT, className=f"why-disabled {FOR_VIEWERS}", hidden=True)
