"""What the filters in the bar offer: the values that were seen in the range, beside what else is chosen.

Asked of `query/` now and then, once for all pages that show the same time.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

import structlog

from dash_app.shared.names import visible
from dash_app.shared.recent import Recent
from dash_app.shell.filters import FILTERS, Filter
from dash_app.shell.page import Filling
from dash_app.shell.view import NotBegunError, TimeRange, View
from query import OVERFLOW, Query, SeriesFilter

log = structlog.get_logger(__name__)

Combination = tuple[str, ...]
"""The values of a series, in the order of `FILTERS`."""

MOST_CHOICES: Final = 1_000
_MOST_COMBINATIONS: Final = 10_000
_KEPT_S: Final = 10.0
_MOST_KEPT: Final = 16
_PATIENCE_S: Final = 0.2


class FilterChoices:
    """Knows what was seen in the ranges that are looked at."""

    def __init__(self, query: Query, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._query = query
        self._monotonic_s = monotonic_s
        self._seen: OrderedDict[TimeRange, Recent[Sequence[Combination]]] = OrderedDict()
        self._latest: Sequence[Combination] = ()

    async def beside(self, filling: Filling, view: View) -> Filling:
        """Return the filling with that of the filters."""
        return {**filling, **choices_of(await self.seen(view.range), view.where)}

    async def seen(self, shown: TimeRange) -> Sequence[Combination]:
        """Return what was seen in a range, or what was seen last.

        A page is not kept back by filters that cannot be filled, or not soon.
        """
        key = replace(shown, most_steps=0)  # which it has nothing to do with
        if key not in self._seen:
            if len(self._seen) >= _MOST_KEPT:
                self._seen.popitem(last=False)
            kept_s = max(_KEPT_S, shown.pace_s)
            self._seen[key] = Recent(lambda: self._read(key), kept_s, self._monotonic_s)
        try:
            return await asyncio.wait_for(self._seen[key].get(), _PATIENCE_S)
        except (TimeoutError, NotBegunError):
            return self._latest
        except Exception as error:
            log.warning("choices of filters not known", error=repr(error))
            return self._latest

    async def _read(self, shown: TimeRange) -> Sequence[Combination]:
        asked = shown.bounds(self._query.settled_end_s())
        labels = [one.label for one in FILTERS]
        found = (await self._query.totals(asked.length_s, labels, asked.end_s, _MOST_COMBINATIONS)).groups()
        self._latest = [values for values in found if OVERFLOW not in values]
        return self._latest


def choices_of(seen: Sequence[Combination], where: SeriesFilter) -> Filling:
    """Return what each filter offers, by name; of a great many the first."""
    return {
        part: properties
        for position, one in enumerate(FILTERS)
        for part, properties in _filled(one, _offered(seen, position, where), one.value_in(where)).items()
    }


def _offered(seen: Sequence[Combination], position: int, where: SeriesFilter) -> set[str]:
    """Return the values of one filter that were seen together with what the others let through."""
    others = [
        (index, value)
        for index, one in enumerate(FILTERS)
        if index != position and (value := one.value_in(where)) is not None
    ]
    return {values[position] for values in seen if all(values[index] == value for index, value in others)} - {""}


def _filled(one: Filter, offered: set[str], chosen: str | None) -> dict[str, dict[str, Any]]:
    shown = sorted(offered)[:MOST_CHOICES]
    if chosen is not None and chosen not in shown:
        shown.append(chosen)  # else the choice would look as if it were none
    data = [{"value": value, "label": visible(value)} for value in shown]
    return {one.id: {"data": data}, f"{one.id}-box": {"hidden": not data}}
