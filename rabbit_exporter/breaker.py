"""Whether batches go to RabbitMQ or straight to the spill.

Opened by the first publish that fails or takes too long, so that nobody waits again for what is known; closed by the
drain, whose publishes are the probes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import structlog

_log = structlog.get_logger(__name__)

_QUIET_S: Final = 10.0
"""Under more load than RabbitMQ takes the breaker opens and closes many times a second; that is said once."""


class Breaker:
    """Open means: to the spill. `reason` says why, as long as it is open."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self.is_open = False
        self.reason = ""
        self._now_s = now_s
        self._changed_at = -_QUIET_S
        self._is_said = False

    def open(self, reason: str) -> None:
        """Send what follows to the spill. Called again for each failure of a probe."""
        quiet_s = self._now_s() - self._changed_at
        if not self.is_open:
            self.is_open = True
            self._changed_at = self._now_s()
        self.reason = reason
        if not self._is_said and quiet_s >= _QUIET_S:
            self._is_said = True
            _log.warning("RabbitMQ does not take batches now: they go to the spill", reason=reason)

    def close(self) -> None:
        """Send what follows to RabbitMQ."""
        if not self.is_open:
            return
        self.is_open = False
        self.reason = ""
        self._changed_at = self._now_s()
        if self._is_said:
            self._is_said = False
            _log.info("RabbitMQ takes batches again")
