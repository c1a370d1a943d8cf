"""Where batches wait for the commit of their group, bounded in number and bytes.

`Intake.consume` enters a batch and waits; the committer takes all that wait and tells each one how it ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from telemetry import Batch, ModelWatchError, RetryableError


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """A batch and the future that its `consume` waits on."""

    batch: Batch
    settled: asyncio.Future[None]


class WaitingRoom:
    """Batches that wait or are being committed. Used from the event loop's thread only.

    A group is full at `group_items` items or `group_batches` batches. What is held, full groups or not, never
    exceeds `max_batches` and `max_bytes`, except that one batch may be larger when it is the only one.
    """

    def __init__(self, *, group_items: int, group_batches: int, max_batches: int, max_bytes: int) -> None:
        self._group_items = group_items
        self._group_batches = group_batches
        self._max_batches = max_batches
        self._max_bytes = max_bytes
        self._group: list[Waiting] = []
        self._items_in_group = 0
        self._held_batches = 0
        self._held_bytes = 0

    def enter(self, batch: Batch) -> asyncio.Future[None]:
        """Add a batch to the next group. Raises `RetryableError` when there is no room."""
        held_bytes = self._held_bytes + len(batch.body)
        if self._held_batches and (self._held_batches >= self._max_batches or held_bytes > self._max_bytes):
            raise RetryableError(
                f"the processor already holds {self._held_batches} batches of {self._held_bytes} bytes that wait for "
                "the database; send again later"
            )
        waiting = Waiting(batch, asyncio.get_running_loop().create_future())
        self._group.append(waiting)
        self._items_in_group += batch.item_count
        self._held_batches += 1
        self._held_bytes = held_bytes
        return waiting.settled

    @property
    def has_group(self) -> bool:
        """Whether anything waits to be taken."""
        return bool(self._group)

    @property
    def is_group_full(self) -> bool:
        """Whether what waits should be committed without delay."""
        return len(self._group) >= self._group_batches or self._items_in_group >= self._group_items

    def take(self) -> list[Waiting]:
        """Return all that wait, in order of arrival. They count as held until they are settled."""
        group, self._group, self._items_in_group = self._group, [], 0
        return group

    def settle(self, group: Sequence[Waiting], outcomes: Sequence[ModelWatchError | None]) -> None:
        """End the waiting of each batch: with its error, or with success where there is none."""
        for waiting, outcome in zip(group, outcomes, strict=True):
            self._held_batches -= 1
            self._held_bytes -= len(waiting.batch.body)
            if waiting.settled.done():
                continue  # its consume() was cancelled meanwhile
            if outcome is None:
                waiting.settled.set_result(None)
            else:
                waiting.settled.set_exception(outcome)
