"""Texts with `*`, which stands for anything."""

from __future__ import annotations

import re


def pattern_of(text: str) -> re.Pattern[str] | str:
    """Return what `*` makes a pattern of, or the text itself."""
    if "*" not in text:
        return text
    # Between two stars the first place that fits is as good as any other. Atomic, as trying them all may take for ever.
    first, *between, last = map(re.escape, text.split("*"))
    return re.compile(first + "".join(f"(?>.*?{one})" for one in between if one) + ".*" + last, re.DOTALL)


def matches(value: str, wanted: re.Pattern[str] | str) -> bool:
    """Tell whether a value is what `pattern_of` made of what is wanted."""
    return value == wanted if isinstance(wanted, str) else wanted.fullmatch(value) is not None
