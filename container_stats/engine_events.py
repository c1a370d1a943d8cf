"""The lines of the engine's event stream; pure."""

from __future__ import annotations

import json
from typing import Final, NamedTuple

_WITHOUT_CONSEQUENCE: Final = ("exec_", "attach", "detach", "top", "resize", "export", "commit", "copy", "archive-path",
                               "extract-to-dir", "exec", "checkpoint", "sync", "prune")  # fmt: skip
"""Actions after which a container is as it was; health checks alone make three of them every time."""


class ContainerEvent(NamedTuple):
    """Something that happened to a container."""

    container_id: str
    is_oom: bool


def event_of(line: bytes) -> ContainerEvent | None:
    """Return the event of a line; `None` if it changes no container, or cannot be read."""
    try:
        event = json.loads(line)
        action = str(event.get("Action") or event.get("status") or "")
        container_id = (event.get("Actor") or {}).get("ID") or event.get("id")
    except (ValueError, AttributeError):
        return None
    if event.get("Type", "container") != "container" or not isinstance(container_id, str) or not container_id:
        return None
    return None if action.startswith(_WITHOUT_CONSEQUENCE) else ContainerEvent(container_id, action == "oom")
