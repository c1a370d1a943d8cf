"""What a process remembers of series: their cleaned form, their id, and which of them the database knows.

Shared by commits and reads, which run in several threads; forgetting any of it costs a look-up and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable

from storage.sanitising import clean_series
from telemetry import SeriesKey
from telemetry.series import series_id_of

RENEWAL_S = 86_400
"""Writers note a series again after this long, so that retention can tell the used from the unused."""


class SeriesCatalog:
    """Bounded memory of series. Single dictionary operations only, so that threads need no lock."""

    def __init__(self, max_series: int, max_field_chars: int) -> None:
        self._max_series = max_series
        self._max_field_chars = max_field_chars
        self._identities: dict[SeriesKey, tuple[SeriesKey, int]] = {}
        self._by_id: dict[int, SeriesKey] = {}
        self._noted_s: dict[int, int] = {}

    def identify(self, series: SeriesKey) -> tuple[SeriesKey, int]:
        """Return the series as it is kept, and its id."""
        known = self._identities.get(series)
        if known is None:
            cleaned = clean_series(series, self._max_field_chars)
            known = (cleaned, series_id_of(cleaned))
            self._make_room(self._identities)
            self._identities[series] = known
        return known

    def to_note(self, series_ids: Iterable[int], now_s: int) -> set[int]:
        """Return those ids that the database may not know, or that have to be renewed there."""
        oldest_s = now_s - RENEWAL_S
        return {series_id for series_id in series_ids if self._noted_s.get(series_id, oldest_s) <= oldest_s}

    def noted(self, series_ids: Iterable[int], now_s: int) -> None:
        """Remember that the database knows these ids since `now_s`; call only after the commit."""
        for series_id in series_ids:
            self._make_room(self._noted_s)
            self._noted_s[series_id] = now_s

    def forget_noted(self) -> None:
        """Forget what the database knows, because it may be another one now."""
        self._noted_s.clear()

    def learn(self, found: Iterable[tuple[int, SeriesKey]]) -> None:
        """Remember series that the database told of."""
        for series_id, series in found:
            self._make_room(self._by_id)
            self._by_id[series_id] = series

    def recall(self, series_ids: Iterable[int]) -> tuple[dict[int, SeriesKey], list[int]]:
        """Return the series that are remembered, by id, and the sorted ids of those that have to be read."""
        known = {series_id: self._by_id.get(series_id) for series_id in series_ids}
        missing = sorted(series_id for series_id, series in known.items() if series is None)
        return {series_id: series for series_id, series in known.items() if series is not None}, missing

    def _make_room(
        self, memory: dict[int, SeriesKey] | dict[int, int] | dict[SeriesKey, tuple[SeriesKey, int]]
    ) -> None:
        # Starting afresh is simpler than choosing what to drop, and as rare as a process meets so many series.
        if len(memory) >= self._max_series:
            memory.clear()
