"""Who a request comes from, and what they may do.

Made by `guard.py` for every request; `request.state.user` of routes, `current_identity()` of whatever runs for one.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal

from telemetry import PermanentError


class Role(StrEnum):
    """What somebody may do: a viewer looks, an editor also changes rules, silences and whatever else can be changed."""

    VIEWER = "viewer"
    EDITOR = "editor"


class NotAllowedError(PermanentError):
    """Who asks may look, but not change anything."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who it is. `local` is whoever is at this machine while there are no users: they have no name of their own.

    `is_current` tells whether they are still let in, at no cost: what lasts, such as a WebSocket, asks it again and
    again. `digest` tells sessions apart; it is no secret.
    """

    name: str
    role: Role
    kind: Literal["local", "session", "token"]
    digest: str = ""
    is_current: Callable[[], bool] = field(default=lambda: True, repr=False, compare=False)

    @property
    def is_editor(self) -> bool:
        """Whether they may change things."""
        return self.role is Role.EDITOR


LOCAL_NAME: Final = "local"
WHY_NOT: Final = "Your role is viewer: only editors change things."

_current: ContextVar[Identity | None] = ContextVar("identity", default=None)


def current_identity() -> Identity | None:
    """Return who the request that is being answered comes from; nobody where no guard let it in."""
    return _current.get()


def enter(identity: Identity | None) -> Callable[[], None]:
    """Make somebody the current one; return what undoes that."""
    before = _current.set(identity)
    return lambda: _current.reset(before)


def require_editor() -> None:
    """Raise `NotAllowedError` for anybody but an editor. Without a guard in front there is nobody to tell apart."""
    identity = _current.get()
    if identity is not None and not identity.is_editor:
        raise NotAllowedError(WHY_NOT)


def name_of_writer(said: str) -> str:
    """Return under whose name a change is kept: that of the login, or what they say where there is none."""
    identity = _current.get()
    return said if identity is None or identity.kind == "local" else identity.name
