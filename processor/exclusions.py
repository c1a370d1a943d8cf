"""Which routes are left out of rate, errors and durations: probes and scrapes, which say nothing about users.

Asked by the decoder once for each combination of attributes; the list is a setting.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from telemetry import SeriesKey, SpanKind


def excluder(routes: Sequence[str]) -> Callable[[SeriesKey], bool]:
    """Return the function that tells whether a series is left out.

    `routes` are routes of SERVER spans, with or without a slash at the end; `*` stands for any characters.
    """
    alternatives = ["[^\n]*".join(map(re.escape, route.rstrip("/").split("*"))) for route in routes]
    matches = re.compile("(?:" + "|".join(alternatives) + ")/?").fullmatch if alternatives else None

    def is_excluded(series: SeriesKey) -> bool:
        is_candidate = series.span_kind == SpanKind.SERVER and series.http_route and matches
        return bool(is_candidate and matches and matches(series.http_route))

    return is_excluded
