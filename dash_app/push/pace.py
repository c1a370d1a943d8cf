"""How fast one connection may ask: a bucket of tokens, which also lets a few questions through at once."""

from __future__ import annotations

import time
from collections.abc import Callable


class Pace:
    """Lets `per_s` through each second, and as many at once as come in a second."""

    def __init__(self, per_s: float, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._per_s = per_s
        self._most = max(per_s, 1.0)
        self._monotonic_s = monotonic_s
        self._left = self._most
        self._at_s = monotonic_s()

    def take(self) -> float:
        """Take one, and return how long to wait before it counts, in seconds."""
        now_s = self._monotonic_s()
        self._left = min(self._left + (now_s - self._at_s) * self._per_s, self._most) - 1
        self._at_s = now_s
        return max(-self._left / self._per_s, 0.0)
