"""The two ports of the store: the history, which is the truth, and the live feed, which is quick.

The processor writes through them, query reads through them; one suite of tests runs on every implementation.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from storage.live_window import CallTotal, LiveWindow
from storage.settings import StorageSettings
from telemetry import (
    REQUEST_KINDS,
    Component,
    KeptSpan,
    PermanentError,
    RedColumns,
    RedPoint,
    RetryableError,
    SeriesKey,
    ServiceInstance,
)
from telemetry.metric_points import MetricPoint


class AlreadyCommittedError(Exception):
    """Some batches of a commit were committed before, so nothing of this commit was kept.

    `batch_ids` names them; the caller leaves them out and commits the rest.
    """

    def __init__(self, batch_ids: frozenset[bytes]) -> None:
        super().__init__(f"{len(batch_ids)} batches were committed before")
        self.batch_ids = batch_ids


class StorageUnavailableError(RetryableError):
    """The database does not answer or refuses. Nothing was kept, or the connection was lost while it committed.

    Trying again is safe either way: if it was kept after all, the next attempt ends in `AlreadyCommittedError`.
    """


class TooManyPointsError(PermanentError):
    """A question spans more points than one read may hold; the message says what to ask instead."""


@dataclass(frozen=True, slots=True)
class SeriesFilter:
    """Which series a question is about. A field that is `None` lets every value through.

    `span_kinds` are those that count, by default the requests that services answer. A store does not look at them:
    whoever reads leaves the others out, which costs less than a search for them.
    """

    service_name: str | None = None
    deployment_environment: str | None = None
    model_name: str | None = None
    service_version: str | None = None
    http_route: str | None = None
    span_kinds: frozenset[str] = frozenset(REQUEST_KINDS)

    def matches(self, series: SeriesKey) -> bool:
        """Tell whether a series passes, by the same rule that the history applies in SQL."""
        return series.span_kind in self.span_kinds and all(
            getattr(series, name) == wanted for name, wanted in self.wanted().items()
        )

    def wanted(self) -> dict[str, str]:
        """Return the fields that must have a certain value, and which."""
        values = ((name, getattr(self, name)) for name in self.__slots__ if name != "span_kinds")
        return {name: value for name, value in values if value is not None}


class KeptTier(NamedTuple):
    """Buckets of `width_s` seconds are kept from `since_s` on; of before there are only wider ones."""

    width_s: int
    since_s: int


class History(Component, Protocol):
    """RED points by time, durable. `start` brings the schema up to date."""

    @property
    def resolution_s(self) -> int:
        """The width in seconds of the finest buckets that points are kept in."""
        ...

    async def commit(
        self,
        batch_ids: Sequence[bytes],
        points: Sequence[RedPoint],
        metrics: Sequence[MetricPoint] = (),
        instances: Collection[ServiceInstance] = (),
        spans: Sequence[KeptSpan] = (),
    ) -> None:
        """Add `points` and `metrics` (1 s buckets, any order, repeats allowed) and note `batch_ids`, all or nothing.

        `instances` are those that the data came from: that they were heard of now is noted twice a minute for each.
        `spans` are kept as they are; one that is there already stays.

        Returning means durable. Raises `AlreadyCommittedError` when any of the ids was committed before,
        `StorageUnavailableError` when trying again may help, `PermanentError` when the data itself is refused.
        Safe beside other writers, in this process or another. An id that is named twice counts once.
        """
        ...

    async def read(
        self,
        start_s: int,
        end_s: int,
        where: SeriesFilter,
        width_s: int | None = None,
        by: Collection[str] | None = None,
    ) -> RedColumns:
        """Return the points of buckets that begin in [start_s, end_s), in time order.

        Buckets are up to `width_s` wide, and no bucket of the widest tier that fits into `width_s` lies across the
        start or the end of one of theirs; without it they are the finest there are. They are wider where finer ones
        are not kept any more. A series has one point in each bucket, and beside it points of narrower buckets for what
        came late. `by` names the fields of series that matter to whoever asks: points of series that differ in no other
        may be added up, and stand under one of them; without it every field matters. However far rolling up has come,
        and whoever commits meanwhile: the sum is that of one moment.
        Raises `TooManyPointsError` and `StorageUnavailableError`.
        """
        ...

    async def kept(self) -> Sequence[KeptTier]:
        """Return which buckets are kept since when, finest first. Raises `StorageUnavailableError`."""
        ...

    async def call_totals(self, start_s: int, end_s: int) -> dict[int, CallTotal]:
        """Return the calls of all series, by the start of each finest bucket that begins in [start_s, end_s).

        Only of buckets that have calls. Cheap, as no histogram is read. Raises `StorageUnavailableError`.
        """
        ...

    async def oldest_s(self) -> int | None:
        """Return the start of the oldest bucket kept, `None` when there is none. Raises `StorageUnavailableError`."""
        ...

    async def check(self) -> None:
        """Return when the database answers, raise `StorageUnavailableError` when it does not."""
        ...


class Attempts(Protocol):
    """Remembers, for all processes and beyond their deaths, which attempts at a batch have not ended.

    For batches that processes may have died of. All raise `StorageUnavailableError`; then it may be noted or not.
    """

    async def begin(self, batch_id: bytes) -> int:
        """Note, durably, that an attempt begins; return how many earlier ones have not ended."""
        ...

    async def end(self, batch_id: bytes) -> None:
        """Note that one attempt ended, whatever came of it."""
        ...

    async def forget(self, batch_id: bytes) -> None:
        """Forget all attempts, ended or not."""
        ...


class LiveFeed(Component, Protocol):
    """The last minutes at 1 s resolution, in memory, for charts that move. Never the truth: it may be lost.

    `start` succeeds without Redis; until it is there, the window is complete since no time at all.
    """

    async def publish(self, points: Sequence[RedPoint]) -> None:
        """Add points (1 s buckets) that the history has committed. Never raises: a feed in trouble resets itself."""
        ...

    async def reset(self) -> None:
        """Say that points committed up to now may be missing: `complete_since_s` moves past the current second.

        The current second does not count, because its points may lie on both sides of the reset. Never raises.
        """
        ...

    def use(self, settings: StorageSettings) -> None:
        """Hold as much as these settings say from now on."""
        ...

    @property
    def window(self) -> LiveWindow:
        """What this process knows of the feed. Belongs to the feed; readers must not change it."""
        ...
