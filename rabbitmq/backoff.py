"""Pauses between attempts: exponential with jitter, so that many processes do not come back in step."""

from __future__ import annotations

import random
from collections.abc import Callable

Jitter = Callable[[], float]
"""Draws a share from [0, 1); injected so that tests own chance."""


def pause_s(attempt: int, shortest_s: float, longest_s: float, jitter: Jitter = random.random) -> float:
    """Return the pause before attempt number `attempt` (from 0): between half and all of the doubled `shortest_s`."""
    full_s = min(shortest_s * 2.0 ** min(attempt, 32), longest_s)
    return full_s * (0.5 + jitter() / 2)
