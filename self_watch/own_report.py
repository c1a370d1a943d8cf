"""What this process says of itself, made when somebody asks.

Free of the database, which some roles do not have: `reporter.py` writes it there, a health port hands it out.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from telemetry import Figures, NowNs, ProcessReport

_NS_PER_MS: Final = 1_000_000


@dataclass(frozen=True)
class Identity:
    """Who a process is, and how it is asked what it says of itself."""

    role: str
    version: str
    read_figures: Callable[[], Awaitable[Figures]]
    read_failures: Callable[[], Awaitable[Mapping[str, str]]]
    address: Callable[[], str] = str


class OwnReport:
    """Makes the reports of this process."""

    def __init__(self, identity: Identity, now_ns: NowNs = time.time_ns) -> None:
        self._identity = identity
        self._now_ns = now_ns
        self._process_id = secrets.token_hex(8)
        self._started_ms = now_ns() // _NS_PER_MS

    async def make(self, *, has_ended: bool = False) -> ProcessReport:
        """Return how the process is now."""
        identity = self._identity
        # A process that ends fails its checks, which says nothing about it.
        failures = {} if has_ended else await identity.read_failures()
        return ProcessReport(
            self._process_id,
            identity.role,
            identity.version,
            socket.gethostname(),
            os.getpid(),
            self._started_ms,
            self._now_ns() // _NS_PER_MS,
            identity.address(),
            has_ended,
            failures,
            await identity.read_figures(),
        )
