"""Who does what only one may do: one process among all that could, and another within seconds when it dies.

A process that wants the lease watches the holder's beat and takes over when it has stood still for `lease_s` by its own
monotonic clock. The holder counts as such only as long after its last write, so that one that cannot reach the database
sends nothing any more.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Callable
from typing import Any, Protocol

import structlog

log = structlog.get_logger(__name__)


class Seen(Protocol):
    """What a lease is known by: whoever takes it raises `fence`, whoever holds it moves `beat`."""

    @property
    def holder(self) -> str:
        """The name of who has it, empty for nobody."""
        ...

    @property
    def fence(self) -> int:
        """How often it was taken."""
        ...

    @property
    def beat(self) -> int:
        """How often it was written to."""
        ...


class LeaseStore(Protocol):
    """Where a lease is kept."""

    async def lease(self) -> Seen:
        """Return who holds it."""
        ...

    async def take(self, holder: str, seen: Any) -> int | None:
        """Take it if nothing has moved since `seen`, an answer of `lease`, and return the new fence."""
        ...

    async def release(self, holder: str, fence: int) -> None:
        """Give it up."""
        ...


def holder_name() -> str:
    """Return a name that no other process has, and that tells people which one it is."""
    return f"{socket.gethostname()[:100]}/{os.getpid()}/{secrets.token_hex(4)}"


class LeaseKeeper:
    """This process's view of the lease. What reads or writes raises `StorageUnavailableError`."""

    def __init__(
        self,
        lease_s: float,
        store: LeaseStore,
        holder: str,
        monotonic_s: Callable[[], float] = time.monotonic,
        *,
        duty: str,
    ) -> None:
        """`duty` says in the log what the holder does."""
        self._lease_s = lease_s
        self._store = store
        self._holder = holder
        self._duty = duty
        self._monotonic_s = monotonic_s
        self._fence: int | None = None
        self._renewed = 0.0
        self._seen: Seen | None = None
        self._moved = monotonic_s()

    @property
    def leader(self) -> tuple[str, int] | None:
        """Holder and fence while this process has the lease and has lately renewed it."""
        if self._fence is None or self._monotonic_s() - self._renewed >= self._lease_s:
            return None
        return self._holder, self._fence

    @property
    def fence(self) -> int | None:
        """The fence, also when the lease may have been lost since; whoever writes under it finds out."""
        return self._fence

    @property
    def stands_still_s(self) -> float:
        """For how long nobody has been seen to hold the lease."""
        return 0.0 if self.leader is not None else self._monotonic_s() - self._moved

    @property
    def holder(self) -> str:
        """The name of this process."""
        return self._holder

    @property
    def idle_s(self) -> float:
        """How long ago the lease was last renewed."""
        return self._monotonic_s() - self._renewed

    async def try_to_take(self) -> bool:
        """Look, and take the lease if it is free or its holder has been still for too long."""
        seen = await self._store.lease()
        now = self._monotonic_s()
        if self._seen is None or (seen.fence, seen.beat) != (self._seen.fence, self._seen.beat):
            if seen.holder:
                self._moved = now
            self._seen = seen
        if seen.holder and now - self._moved < self._lease_s:
            return False
        fence = await self._store.take(self._holder, seen)
        if fence is None:
            return False
        self._fence = fence
        self.renewed()
        log.info(f"{self._duty} now", holder=self._holder, before=seen.holder or "nobody")
        return True

    def renewed(self) -> None:
        """Note that a write under the lease was through."""
        self._renewed = self._moved = self._monotonic_s()

    def lose(self) -> None:
        """Note that another process has it."""
        self._fence, self._seen = None, None
        self._moved = self._monotonic_s()

    async def release(self) -> None:
        """Give it up, if this process has it."""
        fence, self._fence = self._fence, None
        if fence is not None:
            await self._store.release(self._holder, fence)
