"""What the log says of a collector that is away: a line when it starts, one a minute while it lasts, one at its end."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

_INTERVAL_S = 60.0
_logger = logging.getLogger("modelwatch_instrumentation")


class OutageLog:
    """Counts the spans that this process has lost, and keeps the log of the application readable."""

    def __init__(self, endpoint: str, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._endpoint = endpoint
        self._clock_s = clock_s
        self._told_s: float | None = None
        self._is_away = False
        self._lost = 0
        self._lock = threading.Lock()  # spans are lost in the threads that end them, and in the one that exports

    def failed(self, reason: str, *, lost: int = 0) -> None:
        """Note a failed attempt to export, and the spans that it was the last one for."""
        self._add(lost)
        if self._tell(f"cannot export spans to {self._endpoint}: {reason}"):
            self._is_away = True

    def overflowed(self) -> None:
        """Note a span that the queue had no room for; a collector that is only slow is told of by nothing else."""
        self._add(1)
        self._tell(f"spans end faster than {self._endpoint} takes them, and the queue is full")

    def succeeded(self) -> None:
        """Note a success: the end of what was told of before."""
        if self._is_away:
            self._is_away = False
            _logger.warning("spans are exported to %s again; spans lost so far: %d", self._endpoint, self._lost)

    def _add(self, lost: int) -> None:
        if lost:
            with self._lock:
                self._lost += lost

    def _tell(self, what: str) -> bool:
        now_s = self._clock_s()
        if self._told_s is not None and now_s - self._told_s < _INTERVAL_S:
            return False
        self._told_s = now_s
        _logger.warning("%s; spans lost so far: %d", what, self._lost)
        return True
