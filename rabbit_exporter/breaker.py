"""Whether batches go to RabbitMQ or straight to the spill.

Opened by the first publish that fails or takes too long, so that nobody waits again for what is known; closed by the
drain, whose publishes are the probes.
"""

from __future__ import annotations

import structlog

_log = structlog.get_logger(__name__)


class Breaker:
    """Open means: to the spill."""

    def __init__(self) -> None:
        self.is_open = False
        self.reason = ""

    def open(self, reason: str) -> None:
        """Send what follows to the spill."""
        if not self.is_open:
            _log.warning("RabbitMQ does not take batches now: they go to the spill", reason=reason)
        self.is_open = True
        self.reason = reason

    def close(self) -> None:
        """Send what follows to RabbitMQ."""
        if self.is_open:
            _log.info("RabbitMQ takes batches again")
        self.is_open = False
        self.reason = ""
