"""Making the text of series fit for every store: no NUL, no lone surrogates, no endless fields.

PostgreSQL refuses NUL, UTF-8 refuses surrogates, and either would sink a whole commit. Both histories and both live
feeds clean with these functions, so that a series has the same name wherever it is read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from storage.ports import SeriesFilter
from telemetry import RedPoint, SeriesKey

REPLACEMENT = "\ufffd"


def clean_text(text: str, max_chars: int) -> str:
    """Return `text` with U+FFFD for each NUL and lone surrogate, cut off after `max_chars` characters."""
    if len(text) > max_chars:
        text = text[:max_chars]
    if text.isascii() and "\0" not in text:
        return text
    # Not "replace", which would write a question mark: surrogates go through UTF-16, whose decoder writes U+FFFD.
    readable = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return readable.replace("\0", REPLACEMENT)


def clean_series(series: SeriesKey, max_chars: int) -> SeriesKey:
    """Return the series as it is kept; series that differ only in what is cut off become one."""
    cleaned = SeriesKey(*(clean_text(field, max_chars) for field in series))
    return series if cleaned == series else cleaned


def clean_filter(where: SeriesFilter, max_chars: int) -> SeriesFilter:
    """Return the filter in the words of what is kept, so that a series is found by the name it was sent under."""
    cleaned: dict[str, Any] = {name: clean_text(value, max_chars) for name, value in where.wanted().items()}
    return replace(where, **cleaned)


def clean_points(points: Iterable[RedPoint], max_chars: int) -> list[RedPoint]:
    """Return the points under their series' cleaned names."""
    cleaned: dict[SeriesKey, SeriesKey] = {}
    result: list[RedPoint] = []
    for point in points:
        series = cleaned.get(point.series)
        if series is None:
            series = cleaned[point.series] = clean_series(point.series, max_chars)
        result.append(point if series is point.series else replace(point, series=series))
    return result
