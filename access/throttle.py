"""How often somebody may be wrong: buckets of attempts that fill again with time.

Asked by `logins.py` before a password is checked. In memory, per process: as many times as there are dashboards.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, NamedTuple

MOST_BUCKETS: Final = 20_000


class Limit(NamedTuple):
    """`most` failures at once, and one more every `every_s` seconds."""

    most: int
    every_s: float


BY_USER_AND_ADDRESS: Final = Limit(6, 30.0)
BY_ADDRESS: Final = Limit(30, 10.0)
BY_USER: Final = Limit(100, 10.0)
"""Wide, so that nobody can lock somebody else out for long; narrow enough that nobody guesses ten letters."""


class Throttle:
    """Counts attempts by user, by address, and by both together."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._buckets: dict[tuple[str, str], tuple[float, float]] = {}

    def take(self, user: str, address: str) -> float:
        """Count an attempt and return 0; or the seconds to wait, when there were too many."""
        keys = _limits(user, address)
        wait_s = max(self._wait_s(key, limit) for key, limit in keys.items())
        if wait_s > 0:
            return wait_s
        now_s = self._now_s()
        for key, limit in keys.items():
            left = self._left(key, limit) - 1
            self._buckets.pop(key, None)  # so that the oldest are first
            self._buckets[key] = (left, now_s)
        while len(self._buckets) > MOST_BUCKETS:
            self._buckets.pop(next(iter(self._buckets)))
        return 0.0

    def give_back(self, user: str, address: str) -> None:
        """Forget the attempt: it was right. What was tried before by this user from here counts no more either."""
        keys = _limits(user, address)
        pair = next(iter(keys))
        self._buckets.pop(pair, None)
        for key, limit in keys.items():
            if key in self._buckets:
                self._buckets[key] = (min(self._left(key, limit) + 1, limit.most), self._now_s())

    def _left(self, key: tuple[str, str], limit: Limit) -> float:
        left, at_s = self._buckets.get(key, (float(limit.most), self._now_s()))
        return min(left + (self._now_s() - at_s) / limit.every_s, limit.most)

    def _wait_s(self, key: tuple[str, str], limit: Limit) -> float:
        missing = 1 - self._left(key, limit)
        return math.ceil(missing * limit.every_s) if missing > 1e-9 else 0.0


def _limits(user: str, address: str) -> dict[tuple[str, str], Limit]:
    return {(user, address): BY_USER_AND_ADDRESS, ("", address): BY_ADDRESS, (user, ""): BY_USER}
