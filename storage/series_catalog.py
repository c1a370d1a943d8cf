"""What a process remembers of series: their cleaned form, their id, and which of them the database knows.

Shared by commits and reads, which run in several threads; forgetting any of it costs a look-up and nothing else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar, Generic, TypeVar

from storage.sanitising import clean_series, clean_text
from telemetry import SeriesKey
from telemetry.metric_series import MetricSeriesKey, metric_series_id_of
from telemetry.series import series_id_of

RENEWAL_S = 86_400
"""Writers note a series again after this long, so that retention can tell the used from the unused."""
METRIC_RENEWAL_S = 600
"""The same for metrics, which are listed by the times that they were noted at."""
_METRIC_FIELD_CHARS = 16_384
"""The processor bounds labels and bounds; what is cut off here would make two series one."""

Key = TypeVar("Key", SeriesKey, MetricSeriesKey)


class Catalog(ABC, Generic[Key]):
    """Bounded memory of series. Single dictionary operations only, so that threads need no lock."""

    renewal_s: ClassVar[int] = RENEWAL_S

    def __init__(self, max_series: int) -> None:
        self._max_series = max_series
        self._identities: dict[Key, tuple[Key, int]] = {}
        self._by_id: dict[int, Key] = {}
        self._noted_s: dict[int, int] = {}

    @abstractmethod
    def clean(self, series: Key) -> Key:
        """Return the series as it is kept."""

    @abstractmethod
    def id_of(self, cleaned: Key) -> int:
        """Return the id of a series as it is kept."""

    def identify(self, series: Key) -> tuple[Key, int]:
        """Return the series as it is kept, and its id."""
        known = self._identities.get(series)
        if known is None:
            cleaned = self.clean(series)
            known = (cleaned, self.id_of(cleaned))
            self._make_room(self._identities)
            self._identities[series] = known
        return known

    def to_note(self, series_ids: Iterable[int], now_s: int) -> set[int]:
        """Return those ids that the database may not know, or that have to be renewed there."""
        oldest_s = now_s - self.renewal_s
        return {series_id for series_id in series_ids if self._noted_s.get(series_id, oldest_s) <= oldest_s}

    def noted(self, series_ids: Iterable[int], now_s: int) -> None:
        """Remember that the database knows these ids since `now_s`; call only after the commit."""
        for series_id in series_ids:
            self._make_room(self._noted_s)
            self._noted_s[series_id] = now_s

    def forget_noted(self) -> None:
        """Forget what the database knows, because it may be another one now."""
        self._noted_s.clear()

    def learn(self, found: Iterable[tuple[int, Key]]) -> None:
        """Remember series that the database told of."""
        for series_id, series in found:
            self._make_room(self._by_id)
            self._by_id[series_id] = series

    def recall(self, series_ids: Iterable[int]) -> tuple[dict[int, Key], list[int]]:
        """Return the series that are remembered, by id, and the sorted ids of those that have to be read."""
        known = {series_id: self._by_id.get(series_id) for series_id in series_ids}
        missing = sorted(series_id for series_id, series in known.items() if series is None)
        return {series_id: series for series_id, series in known.items() if series is not None}, missing

    def _make_room(self, memory: dict[Any, Any]) -> None:
        # Starting afresh is simpler than choosing what to drop, and as rare as a process meets so many series.
        if len(memory) >= self._max_series:
            memory.clear()


class SeriesCatalog(Catalog[SeriesKey]):
    """A catalog of RED series, whose fields are cut to `max_field_chars` characters."""

    def __init__(self, max_series: int, max_field_chars: int) -> None:
        super().__init__(max_series)
        self._max_field_chars = max_field_chars

    def clean(self, series: SeriesKey) -> SeriesKey:
        return clean_series(series, self._max_field_chars)

    def id_of(self, cleaned: SeriesKey) -> int:
        return series_id_of(cleaned)


class MetricSeriesCatalog(Catalog[MetricSeriesKey]):
    """A catalog of series of metrics."""

    renewal_s = METRIC_RENEWAL_S

    def clean(self, series: MetricSeriesKey) -> MetricSeriesKey:
        cleaned = MetricSeriesKey(*(clean_text(field, _METRIC_FIELD_CHARS) for field in series))
        return series if cleaned == series else cleaned

    def id_of(self, cleaned: MetricSeriesKey) -> int:
        return metric_series_id_of(cleaned)
