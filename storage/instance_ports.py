"""The service instances' part of the history's port: who runs which service, since when, until when.

`SqlHistory` implements it beside `storage.ports.History`, by whose `commit` instances are written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from telemetry import SeenInstance


class InstanceHistory(Protocol):
    """The instances of services, durable for a while after they were last heard of."""

    async def instances(self, since_s: int, service_name: str | None = None) -> Sequence[SeenInstance]:
        """Return the instances, of all services or of one, that were heard of at `since_s` or later, the latest first.

        Half a minute before `since_s` is let through too, as that is how often it is noted. At most
        `StorageSettings.max_instances`. Raises `StorageUnavailableError`.
        """
        ...
