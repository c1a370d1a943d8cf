"""Who may come in, and what they may do: users, sessions, tokens, and the guard in front of pages and API."""

from __future__ import annotations

from access.component import Access, build
from access.identity import Identity, Role, current_identity, name_of_writer, require_editor
from access.settings import AccessSettings

__all__ = [
    "Access",
    "AccessSettings",
    "Identity",
    "Role",
    "build",
    "current_identity",
    "name_of_writer",
    "require_editor",
]
