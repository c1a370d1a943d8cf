"""Names from spans in a form that people can see: a service may be called anything, also nothing visible.

Pure; used wherever a name becomes text. `assets/view.js` does the same for the name that it writes itself.
"""

from __future__ import annotations

import unicodedata
from typing import Final

BLANK: Final = "(blank)"
"""Stands for a name of nothing but spaces; it is set in a muted style, so that a service called so is told from it."""


def is_blank(name: str) -> bool:
    """Tell whether nothing of a name would be seen."""
    return not name.strip()


def visible(name: str) -> str:
    """Return a name of which every letter is seen.

    Control characters become visible marks: one that turns the direction of text would turn what stands behind it.
    """
    if is_blank(name):
        return BLANK
    return "".join("\ufffd" if unicodedata.category(letter) in ("Cc", "Cf") else letter for letter in name)
