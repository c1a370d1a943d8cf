"""When a target may be asked again: one pause for all that waits for it, longer with each failure in a row."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

from otlp_exporter.settings import ExporterSettings


class Patience:
    """Without I/O but for the wait itself."""

    def __init__(
        self,
        settings: ExporterSettings,
        now_s: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._now_s = now_s
        self._jitter = jitter
        self._not_before_s = 0.0
        self.failures = 0
        """How often in a row the target failed."""

    async def wait(self) -> float:
        """Return when the next attempt may be made, with its time, which `fail` wants to know."""
        # A time, and not an event: it moves while it is waited for.
        while (pause_s := self._not_before_s - self._now_s()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(pause_s)
        return self._now_s()

    def fail(self, attempted_at_s: float, retry_after_s: float) -> float:
        """Take note of a failure; return the pause in seconds until the next attempt.

        Of attempts that were under way together only the first lengthens it. What the target asks for is no less
        than what it gets (OTLP specification, "OTLP/HTTP Throttling").
        """
        if attempted_at_s >= self._not_before_s:
            full_s = min(self._settings.retry_min_s * 2.0 ** min(self.failures, 32), self._settings.retry_max_s)
            self.failures += 1
            self._not_before_s = self._now_s() + full_s * (0.5 + self._jitter() / 2)
        self._not_before_s = max(self._not_before_s, self._now_s() + retry_after_s)
        return self._not_before_s - self._now_s()

    def succeed(self) -> None:
        """The target takes requests."""
        self.failures = 0
        self._not_before_s = 0.0
