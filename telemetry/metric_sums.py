"""Sums of floating-point numbers that are exact, so that the order of adding makes no difference.

Used by the states of metrics. Adding doubles rounds at every step, and two orders give two results; but every finite
double is a whole multiple of 2**-1074, and Python's integers do not round. A sum is held as that multiple and written
without the zeros at its end: ten bytes or so where the numbers are of like size, 270 at the very most.
"""

from __future__ import annotations

import sys
from typing import Final

_UNIT_BITS: Final = 1074
_UNIT: Final = 1 << _UNIT_BITS


def exact(value: float) -> int:
    """Return a finite number as a whole multiple of 2**-1074."""
    numerator, denominator = value.as_integer_ratio()
    # The denominator is a power of two.
    return numerator << (_UNIT_BITS + 1 - denominator.bit_length())


def rounded(total: int) -> float:
    """Return the double nearest to an exact sum; the largest one where the sum is beyond it."""
    try:
        return total / _UNIT
    except OverflowError:
        return sys.float_info.max if total > 0 else -sys.float_info.max


def pack_sum(total: int) -> bytes:
    """Return the form at rest: the number of bytes, that of the zero bits cut off, and what is left."""
    shift = (total & -total).bit_length() - 1 if total else 0
    kept = total >> shift
    raw = kept.to_bytes(kept.bit_length() // 8 + 1, "little", signed=True)
    return len(raw).to_bytes(2, "little") + shift.to_bytes(2, "little") + raw


def unpack_sum(raw: bytes, start: int) -> tuple[int, int]:
    """Read what `pack_sum` wrote from `start` on; return it and where it ends."""
    length = int.from_bytes(raw[start : start + 2], "little")
    shift = int.from_bytes(raw[start + 2 : start + 4], "little")
    end = start + 4 + length
    return int.from_bytes(raw[start + 4 : end], "little", signed=True) << shift, end
