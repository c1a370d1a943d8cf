"""The filters of the bar on the lists of the page: what is certainly about something else is left out.

Pure. Alerts and what became of them are told by their labels; rules and silences by what they are limited to.
"""

from __future__ import annotations

from collections.abc import Mapping

from alerting.patterns import matches, pattern_of
from dash_app.shell.filters import FILTERS, may_be_of
from query import SeriesFilter

__all__ = ["left_out_text", "may_be_about", "may_be_of"]


def may_be_about(where: SeriesFilter, patterns: Mapping[str, str]) -> bool:
    """Tell whether what is limited to labels like these, with `*`, may be about something that passes the filter."""
    wanted = ((one.value_in(where), patterns.get(one.label)) for one in FILTERS)
    return all(value is None or pattern is None or matches(value, pattern_of(pattern)) for value, pattern in wanted)


def left_out_text(shown: str, left_out: int) -> str:
    """Return a count, and how many others the filters leave out."""
    return f"{shown} ({left_out} more without filters)".strip() if left_out else shown
