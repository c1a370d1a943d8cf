"""What the shell shows of who reads it: their name, the way out, and which controls they may not use.

The layout is made for each document that is opened, so that it can differ by reader; answers are the same for all.
A page puts what changes something into a fieldset of the class `for-editors` (`editors_only`), or links with it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Final

from dash import html
from dash.development.base_component import Component

from access.identity import WHY_NOT, Identity, current_identity
from dash_app.shared.components import PageLink
from dash_app.shared.editing import FOR_EDITORS, FOR_VIEWERS

NAMED: Final = "is-named"
"""Class of the whole page where the login says who it is, so that no form asks for a name."""


def is_viewer() -> bool:
    """Tell whether the reader may look only. Where no guard is in front, everybody may do everything."""
    identity = current_identity()
    return identity is not None and not identity.is_editor


def is_named() -> bool:
    """Tell whether the reader has logged in."""
    return _session() is not None


def account() -> list[Component]:
    """Return who is there and the way out; nothing where there is no login."""
    identity = _session()
    if identity is None:
        return []
    menu = html.Div(
        [
            html.Div(identity.name, className="account-name"),
            html.Div(_MAY[identity.is_editor], className="account-role"),
            html.Form(
                html.Button("Log out", type="submit", className="act"), action="/logout", method="post", id="log-out"
            ),
        ],
        className="account-menu",
    )
    summary = html.Summary(
        [html.Span(identity.name, className="account-name"), html.Span(identity.role.value, className="account-tag")]
    )
    return [html.Details([summary, menu], id="account", className="account")]


_MAY: Final = {True: "Editor: may change rules, silences and settings", False: "Viewer: may look, not change anything"}


def _session() -> Identity | None:
    identity = current_identity()
    return identity if identity is not None and identity.kind == "session" else None


def for_viewers(component: Component) -> Component:
    """Return a copy in which everything that changes something is disabled and says why."""
    made = _without_ways_to_change(copy.deepcopy(component))
    for part in [made, *(part for part in made._traverse() if isinstance(part, Component))]:  # type: ignore[no-untyped-call]
        changes = {**(_DISABLED if _has(part, FOR_EDITORS) else {}), **(_SHOWN if _has(part, FOR_VIEWERS) else {})}
        for name, value in changes.items():
            setattr(part, name, value)
    return made


_DISABLED: Final[Mapping[str, Any]] = {"disabled": True, "title": WHY_NOT}
_SHOWN: Final[Mapping[str, Any]] = {"hidden": False}


def _has(component: Component, name: str) -> bool:
    return name in str(getattr(component, "className", None) or "").split()


def _without_ways_to_change(component: Component) -> Component:
    """Put words in the place of links that lead to a form which is disabled anyway."""
    children = getattr(component, "children", None)
    if isinstance(component, PageLink) and _has(component, FOR_EDITORS):
        words: Component = html.Span(children, className="act is-disabled", title=WHY_NOT)
        return words
    if isinstance(children, Component):
        component.children = _without_ways_to_change(children)
    elif isinstance(children, list | tuple):
        component.children = [_without_ways_to_change(one) if isinstance(one, Component) else one for one in children]
    return component
