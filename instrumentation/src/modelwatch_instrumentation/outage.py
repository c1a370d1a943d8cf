"""What the log says of a collector that is away: a line when it starts, one a minute while it lasts, one at its end."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

_INTERVAL_S = 60.0
_logger = logging.getLogger("modelwatch_instrumentation")


class OutageLog:
    """Counts the spans that are lost, and keeps the log of the application readable."""

    def __init__(self, endpoint: str, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._endpoint = endpoint
        self._clock_s = clock_s
        self._told_s: float | None = None
        self._lost = 0
        self._lock = threading.Lock()  # spans are lost in the threads that end them, and in the one that exports

    def failed(self, reason: str) -> None:
        """Note a failed attempt to export."""
        now_s = self._clock_s()
        if self._told_s is not None and now_s - self._told_s < _INTERVAL_S:
            return
        self._told_s = now_s
        _logger.warning("cannot export spans to %s: %s; spans lost so far: %d", self._endpoint, reason, self._lost)

    def lost(self, spans: int) -> None:
        """Note spans that are given up."""
        with self._lock:
            self._lost += spans

    def succeeded(self) -> None:
        """Note a success: the end of what failed before."""
        if self._told_s is not None:
            _logger.warning("spans are exported to %s again; spans lost: %d", self._endpoint, self._lost)
            self._told_s = None
            with self._lock:
                self._lost = 0
