"""What a process remembers of service instances: what the database knows of each, and since when.

Keeps commits from writing what has not changed: a row is renewed twice a minute, and sooner when it says something new.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from storage.sanitising import clean_text
from telemetry import ServiceInstance
from telemetry.service_instance import service_instance_id_of

INSTANCE_RENEWAL_S: Final = 30
"""A row is written this often while its instance is heard of."""
_CHANGE_PAUSE_S: Final = 5
"""Senders that share an identity and differ in the rest must not make a write of every commit."""

INSTANCE_VALUES: Final = (*ServiceInstance._fields[5:], "last_seen_s")
"""The columns that are renewed; the others are the identity, and when it was first seen."""


class _Noted(NamedTuple):
    instance: ServiceInstance
    noted_s: int


class InstanceCatalog:
    """Bounded memory. Single dictionary operations only, so that threads need no lock."""

    def __init__(self, max_instances: int, max_field_chars: int) -> None:
        self._max_instances = max_instances
        self._max_field_chars = max_field_chars
        self._noted: dict[int, _Noted] = {}

    def to_note(self, instances: Iterable[ServiceInstance], now_s: int) -> dict[int, ServiceInstance]:
        """Return by id, sorted, those instances of which the database does not know what is, or that it is now."""
        found = {}
        for instance in instances:
            cleaned = ServiceInstance(*(clean_text(field, self._max_field_chars) for field in instance))
            row_id = service_instance_id_of(cleaned)
            known = self._noted.get(row_id)
            pause_s = INSTANCE_RENEWAL_S if known is None or known.instance == cleaned else _CHANGE_PAUSE_S
            # A clock that was put back must not keep a row from being renewed.
            if known is None or not known.noted_s <= now_s < known.noted_s + pause_s:
                found[row_id] = cleaned
        return dict(sorted(found.items()))

    def noted(self, instances: dict[int, ServiceInstance], now_s: int) -> None:
        """Remember what the database knows since `now_s`; call only after the commit."""
        for row_id, instance in instances.items():
            if len(self._noted) >= self._max_instances:
                self._noted.clear()
            self._noted[row_id] = _Noted(instance, now_s)

    def forget_noted(self) -> None:
        """Forget what the database knows, because it may be another one now."""
        self._noted.clear()


def instance_row(row_id: int, instance: ServiceInstance, now_s: int) -> tuple[Any, ...]:
    """Return the row of `service_instances` for an instance that was heard of at `now_s`."""
    return row_id, *instance, now_s, now_s
