"""The pace at which pages ask about resources: nothing new is measured from second to second.

Whoever looks within the same five seconds shares the answer.
"""

from __future__ import annotations

from typing import Final

_PACE_S: Final = 5


def paced(second: int) -> int:
    """Return the beginning of the stretch of five seconds that a second lies in."""
    return second - second % _PACE_S
