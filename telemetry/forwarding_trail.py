"""Which installations of ModelWatch have forwarded a batch, as it travels beside the batch and never in it.

Written by `otlp_exporter` as a header of its requests, read by `otlp_receiver`, and carried by RabbitMQ and the spill:
so that what comes back in a circle of backends is known, and goes no further.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

FORWARDED_BY_HEADER: Final = "x-modelwatch-forwarded-by"
"""Of HTTP requests, gRPC metadata and messages: ids of installations, separated by commas, the first first."""
MAX_TRAIL: Final = 16
ID_BYTES: Final = 8
_ID: Final = re.compile(rf"[0-9a-f]{{{2 * ID_BYTES}}}")


def is_installation_id(text: str) -> bool:
    """Tell whether a text has the form of an installation's id: 16 hexadecimal digits in small letters."""
    return bool(_ID.fullmatch(text))


def trail_of(header: Any) -> tuple[str, ...]:
    """Return the ids in a header's value, which anybody may have written: at most `MAX_TRAIL`, and no other words."""
    if not isinstance(header, str):
        return ()
    words = (word.strip() for word in header.split(","))
    return tuple(word for word in words if is_installation_id(word))[:MAX_TRAIL]


def header_of(trail: Sequence[str]) -> str:
    """Return the value of the header."""
    return ",".join(trail)
