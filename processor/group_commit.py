"""The commit of a group of batches: decoded, added up, stored in one transaction, then shown live.

Called by the intake for one group at a time. All that decides whether a batch counts exactly once is here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from processor.aggregation import aggregate
from processor.series_limits import SeriesLimits
from processor.span_columns import SpanColumns, SpanDecoder
from storage.ports import AlreadyCommittedError, History, LiveFeed
from telemetry import Batch, Counters, ModelWatchError, NowNs, PermanentError, RedPoint, RetryableError

RunInWorker = Callable[..., Awaitable[Any]]
"""Calls a function with arguments in the worker thread and returns its result."""

_REMEMBERED_IDS: Final = 16384
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Result:
    """How the batches of a commit ended, by id; those in neither were committed before."""

    stored: set[bytes] = field(default_factory=set)
    errors: dict[bytes, ModelWatchError] = field(default_factory=dict)


class GroupCommit:
    """Commits groups of trace batches, one group at a time.

    A batch that only the database knows was stored by a process that may have died before it showed the points, so
    the live feed is told to start over; likewise whenever the outcome of a commit is unknown. Batches that this
    process has itself stored and shown are recognised without either.
    """

    def __init__(
        self,
        decoder: SpanDecoder,
        limits: SeriesLimits,
        history: History,
        live: LiveFeed,
        counters: Counters,
        *,
        now_ns: NowNs,
        max_future_ns: int,
        max_late_ns: int,
        run_in_worker: RunInWorker,
    ) -> None:
        self._decoder = decoder
        self._limits = limits
        self._history = history
        self._live = live
        self._counters = counters
        self._now_ns = now_ns
        self._max_future_ns = max_future_ns
        self._max_late_ns = max_late_ns
        self._run_in_worker = run_in_worker
        self._shown_ids: dict[bytes, None] = {}  # oldest first

    async def commit(self, batches: Sequence[Batch]) -> list[ModelWatchError | None]:
        """Return how each batch ended: `None` is stored (now or before), else the error for whoever sent it."""
        decoded: list[SpanColumns | PermanentError] = await self._run_in_worker(self._decode_all, batches)
        readable = {
            batch.batch_id: columns
            for batch, columns in zip(batches, decoded, strict=True)
            if isinstance(columns, SpanColumns) and batch.batch_id not in self._shown_ids
        }
        result = await self._store(readable)
        return [self._settle(batch, columns, result) for batch, columns in zip(batches, decoded, strict=True)]

    def _decode_all(self, batches: Sequence[Batch]) -> list[SpanColumns | PermanentError]:
        now_ns = self._now_ns()
        return [self._decode(batch, now_ns) for batch in batches]

    def _decode(self, batch: Batch, now_ns: int) -> SpanColumns | PermanentError:
        earliest_ns, latest_ns = now_ns - self._max_late_ns, now_ns + self._max_future_ns
        try:
            return self._decoder.decode(batch.body, earliest_end_ns=earliest_ns, latest_end_ns=latest_ns)
        except PermanentError as error:
            return error
        except Exception as error:
            # A fault of ours, but it would come again with the same bytes, and must not hold up the neighbours.
            _log.exception("batch could not be decoded", batch_id=batch.batch_id.hex())
            return PermanentError(f"the batch cannot be decoded ({type(error).__name__}: {error})")

    def _points_of(self, columns: Sequence[SpanColumns]) -> list[RedPoint]:
        return self._limits.bounded(aggregate(columns))

    async def _store(self, readable: Mapping[bytes, SpanColumns]) -> _Result:
        remaining = dict(readable)
        while remaining:
            points = await self._run_in_worker(self._points_of, list(remaining.values()))
            try:
                await self._history.commit(list(remaining), points)
            except AlreadyCommittedError as error:
                known = remaining.keys() & error.batch_ids
                if not known:
                    return await self._hand_back(remaining, error)
                await self._live.reset()
                self._remember(known)
                for batch_id in known:
                    del remaining[batch_id]
            except PermanentError as error:
                return await self._isolate(remaining, error)
            except Exception as error:
                return await self._hand_back(remaining, error)
            else:
                # Before anyone hears of success: whoever dies in between has its batches sent again, and then the
                # duplicates tell that the live feed may lack them.
                await self._live.publish(points)
                self._remember(remaining)
                return _Result(stored=set(remaining))
        return _Result()

    async def _isolate(self, remaining: Mapping[bytes, SpanColumns], error: PermanentError) -> _Result:
        """Commit each batch alone when the history refuses the data of the group, so that only the culprit is lost."""
        if len(remaining) == 1:
            return _Result(errors=dict.fromkeys(remaining, error))
        result = _Result()
        for batch_id, columns in remaining.items():
            alone = await self._store({batch_id: columns})
            result.stored |= alone.stored
            result.errors |= alone.errors
        return result

    async def _hand_back(self, remaining: Iterable[bytes], error: Exception) -> _Result:
        """Give every batch back as retryable; the commit may nevertheless have happened, unseen by the live feed."""
        self._counters.add("processor_failed_commits")
        _log.warning("commit failed", reason=str(error), exc_info=not isinstance(error, RetryableError))
        await self._live.reset()
        retry_after_s = error.retry_after_s if isinstance(error, RetryableError) else 1.0
        message = f"the batch was not stored, send it again: {error}"
        return _Result(
            errors={batch_id: RetryableError(message, retry_after_s=retry_after_s) for batch_id in remaining}
        )

    def _remember(self, batch_ids: Iterable[bytes]) -> None:
        self._shown_ids.update(dict.fromkeys(batch_ids))
        for batch_id in list(self._shown_ids)[: max(0, len(self._shown_ids) - _REMEMBERED_IDS)]:
            del self._shown_ids[batch_id]

    def _settle(self, batch: Batch, columns: SpanColumns | PermanentError, result: _Result) -> ModelWatchError | None:
        """Count how a batch ended, and return its error. A second batch of the same id is a duplicate of the first."""
        error = columns if isinstance(columns, PermanentError) else result.errors.get(batch.batch_id)
        signal = batch.signal.value
        if isinstance(error, PermanentError):
            self._counters.add("processor_poison_batches", signal=signal)
            self._counters.add("processor_poison_items", batch.item_count, signal=signal)
        elif error is not None:
            self._counters.add("processor_refused_items", batch.item_count, signal=signal)
        elif isinstance(columns, SpanColumns) and batch.batch_id in result.stored:
            result.stored.remove(batch.batch_id)
            self._counters.add("processor_stored_items", columns.stored_count, signal=signal)
            self._counters.add("processor_skipped_items", columns.skipped_count, signal=signal)
            self._counters.add("processor_excluded_items", columns.excluded_count, signal=signal)
            self._counters.add("processor_invalid_items", columns.invalid_count, signal=signal)
            self._counters.add("processor_late_items", columns.late_count, signal=signal)
        else:
            self._counters.add("processor_duplicate_batches", signal=signal)
            self._counters.add("processor_duplicate_items", batch.item_count, signal=signal)
        return error
