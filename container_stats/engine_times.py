"""Times as container engines write them: RFC 3339, with up to nine digits of a second and any offset."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")


def unix_nano_of(text: object) -> int | None:
    """Return Unix time in nanoseconds; `None` for Go's zero time, anything before 1970, and what is no time."""
    match = _TIME.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return None
    second, fraction, offset = match.groups()
    try:
        seconds = datetime.fromisoformat(second + offset.replace("Z", "+00:00")).timestamp()
    except (ValueError, OverflowError):
        return None
    return int(seconds) * 1_000_000_000 + int((fraction or "").ljust(9, "0")) if seconds > 0 else None
