"""Which traces are kept out of many: by a hash of their id, so that all processors choose the same ones.

Used by `trace_keeper.py`. The share is a power of two, and what is kept at a smaller share is kept at every larger one.
So processors at the same share keep the same traces, whole, and at different ones those of the smaller.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

TRACE_ID_BYTES: Final = 16
_NS_PER_S: Final = 1_000_000_000
_WINDOW_S: Final = 5
_ROOM: Final = 0.75
"""The share of the budget that samples are to take; the rest is for errors and what is slow."""
_MAX_LEVEL: Final = 40
_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_FACTORS: Final = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_SHIFTS: Final = (np.uint64(30), np.uint64(27), np.uint64(31))


def trace_hashes(trace_ids: Sequence[bytes]) -> NDArray[np.uint64]:
    """Return an evenly distributed number for each trace id, however its sender made it up.

    The finaliser of SplitMix64 (Steele, Lea, Flood 2014) over both halves; the same in every process and version.
    """
    joined = b"".join(trace_ids)
    if len(joined) != TRACE_ID_BYTES * len(trace_ids):
        joined = b"".join(one[:TRACE_ID_BYTES].ljust(TRACE_ID_BYTES, b"\0") for one in trace_ids)
    halves = np.frombuffer(joined, dtype="<u8").reshape(-1, 2)
    mixed = halves[:, 0] ^ (halves[:, 1] * _GOLDEN)
    mixed = (mixed ^ (mixed >> _SHIFTS[0])) * _FACTORS[0]
    mixed = (mixed ^ (mixed >> _SHIFTS[1])) * _FACTORS[1]
    found: NDArray[np.uint64] = mixed ^ (mixed >> _SHIFTS[2])
    return found


def is_sampled(hashes: NDArray[np.uint64], level: int) -> NDArray[np.bool_]:
    """Tell which traces are among one in 2**level."""
    if not level:
        return np.ones(len(hashes), dtype=np.bool_)
    found: NDArray[np.bool_] = hashes >> np.uint64(64 - level) == 0
    return found


class SampleLevel:
    """Of how many traces one is kept, as a power of two that follows the rate of spans.

    Rises at once when there are too many, and falls a step at a time, when a window of five seconds had room for it.
    """

    def __init__(self, max_spans_per_s: float) -> None:
        self._per_s = max_spans_per_s * _ROOM
        self._window_ns = 0
        self._count = 0
        self.level = 0

    def note(self, spans: int, now_ns: int) -> int:
        """Count spans that came now, and return the level for them."""
        elapsed_ns = now_ns - self._window_ns
        if not 0 <= elapsed_ns < _WINDOW_S * _NS_PER_S:
            # A pause is many windows in which nothing came.
            windows = max(elapsed_ns // (_WINDOW_S * _NS_PER_S), 1)
            for quiet in range(min(windows, _MAX_LEVEL)):
                needed = self._needed(0 if quiet else self._count)
                self.level = max(needed, self.level - 1)
            self._window_ns, self._count = now_ns, 0
        self._count += spans
        self.level = max(self.level, self._needed(self._count))
        return self.level

    def _needed(self, count: int) -> int:
        excess = count / _WINDOW_S / self._per_s
        return min(math.ceil(math.log2(excess)), _MAX_LEVEL) if excess > 1 else 0


class Budget:
    """So much per second, on average over `burst_s`."""

    def __init__(self, per_s: float, burst_s: float) -> None:
        self._per_s = per_s
        self._most = self._left = per_s * burst_s
        self._filled_ns: int | None = None

    def refill(self, now_ns: int) -> None:
        """Add what the time since the last call is worth."""
        passed_s = 0.0 if self._filled_ns is None else max(now_ns - self._filled_ns, 0) / _NS_PER_S
        self._left = min(self._most, self._left + passed_s * self._per_s)
        self._filled_ns = now_ns

    def take(self, amount: float, *, reserve: float = 0.0) -> bool:
        """Take an amount if that leaves `reserve` (0 to 1) of the whole; tell whether it was there."""
        if self._left - amount < reserve * self._most:
            return False
        self._left -= amount
        return True
