"""The addresses in what pages are made of, as browsers see them where ModelWatch shares its host name.

Pages write paths as if they had the host for themselves; the layout passes through here once. `PageLink`s are seen to
by `assets/address.js`.
"""

from __future__ import annotations

from typing import Final

from dash.development.base_component import Component

_ADDRESSES: Final = ("src", "href", "action")


def below(base_path: str, made: Component) -> Component:
    """Put `base_path` before every path of ours within `made`, which is changed and returned."""
    if base_path:
        for part in (made, *made._traverse()):  # type: ignore[no-untyped-call]
            for name in _ADDRESSES:
                value = getattr(part, name, None)
                if isinstance(part, Component) and isinstance(value, str) and value.startswith("/"):
                    setattr(part, name, base_path + value)
    return made
