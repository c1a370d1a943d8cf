"""The commit of a group of batches: decoded, added up, stored in one transaction, then shown live.

Called by the intake for one group at a time. All that decides whether a batch counts exactly once is here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from processor.reading import Contents, Decoded, Reading
from processor.span_columns import SpanColumns
from storage.ports import AlreadyCommittedError, History, LiveFeed
from telemetry import Batch, Counters, KeptSpan, ModelWatchError, PermanentError, RetryableError

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
    """Commits groups of batches of traces and metrics, one group at a time.

    A batch that only the database knows was stored by a process that may have died before it showed the points, so
    the live feed is told to start over; likewise whenever the outcome of a commit is unknown. Batches that this
    process has itself stored and shown are recognised without either.
    """

    def __init__(
        self, reading: Reading, history: History, live: LiveFeed, counters: Counters, *, run_in_worker: RunInWorker
    ) -> None:
        self._reading = reading
        self._history = history
        self._live = live
        self._counters = counters
        self._run_in_worker = run_in_worker
        self._shown_ids: dict[bytes, None] = {}  # oldest first

    async def commit(self, batches: Sequence[Batch]) -> list[ModelWatchError | None]:
        """Return how each batch ended: `None` is stored (now or before), else the error for whoever sent it."""
        decoded: list[Decoded | PermanentError] = await self._run_in_worker(self._reading.decode_all, batches)
        readable = {
            batch.batch_id: found
            for batch, found in zip(batches, decoded, strict=True)
            if not isinstance(found, PermanentError) and batch.batch_id not in self._shown_ids
        }
        result = await self._store(readable)
        return [self._settle(batch, found, result) for batch, found in zip(batches, decoded, strict=True)]

    async def _store(self, readable: Mapping[bytes, Decoded]) -> _Result:
        remaining = dict(readable)
        while remaining:
            contents: Contents = await self._run_in_worker(self._reading.contents_of, list(remaining.values()))
            try:
                await self._history.commit(list(remaining), *contents)
            except AlreadyCommittedError as error:
                known = remaining.keys() & error.batch_ids
                if not known:
                    return await self._hand_back(remaining, error)
                await self._reset_live(remaining[batch_id] for batch_id in known)
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
                if contents.points:
                    await self._live.publish(contents.points)
                self._remember(remaining)
                self._count_spans(remaining.values(), contents.spans)
                return _Result(stored=set(remaining))
        return _Result()

    async def _isolate(self, remaining: Mapping[bytes, Decoded], error: PermanentError) -> _Result:
        """Commit each batch alone when the history refuses the data of the group, so that only the culprit is lost."""
        if len(remaining) == 1:
            return _Result(errors=dict.fromkeys(remaining, error))
        result = _Result()
        for batch_id, decoded in remaining.items():
            alone = await self._store({batch_id: decoded})
            result.stored |= alone.stored
            result.errors |= alone.errors
        return result

    async def _hand_back(self, remaining: Mapping[bytes, Decoded], error: Exception) -> _Result:
        """Give every batch back as retryable; the commit may nevertheless have happened, unseen by the live feed."""
        self._counters.add("processor_failed_commits")
        _log.warning("commit failed", reason=str(error), exc_info=not isinstance(error, RetryableError))
        await self._reset_live(remaining.values())
        retry_after_s = error.retry_after_s if isinstance(error, RetryableError) else 1.0
        message = f"the batch was not stored, send it again: {error}"
        return _Result(
            errors={batch_id: RetryableError(message, retry_after_s=retry_after_s) for batch_id in remaining}
        )

    async def _reset_live(self, unseen: Iterable[Decoded]) -> None:
        """Let the live feed begin anew if it may lack any of these; it knows nothing of metrics anyway."""
        if any(isinstance(decoded, SpanColumns) for decoded in unseen):
            await self._live.reset()

    def _count_spans(self, decoded: Iterable[Decoded], kept: Sequence[KeptSpan]) -> None:
        for kept_as, count in Counter(span.kept_as for span in kept).items():
            self._counters.add("processor_kept_spans", count, kept_as=kept_as)
        stored = sum(one.stored_count for one in decoded if isinstance(one, SpanColumns))
        self._counters.add("processor_unkept_spans", max(stored - len(kept), 0))

    def _remember(self, batch_ids: Iterable[bytes]) -> None:
        self._shown_ids.update(dict.fromkeys(batch_ids))
        for batch_id in list(self._shown_ids)[: max(0, len(self._shown_ids) - _REMEMBERED_IDS)]:
            del self._shown_ids[batch_id]

    def _settle(self, batch: Batch, decoded: Decoded | PermanentError, result: _Result) -> ModelWatchError | None:
        """Count how a batch ended, and return its error. A second batch of the same id is a duplicate of the first."""
        error = decoded if isinstance(decoded, PermanentError) else result.errors.get(batch.batch_id)
        signal = batch.signal.value
        if isinstance(error, PermanentError):
            self._counters.add("processor_poison_batches", signal=signal)
            self._counters.add("processor_poison_items", batch.item_count, signal=signal)
        elif error is not None:
            self._counters.add("processor_refused_items", batch.item_count, signal=signal)
        elif not isinstance(decoded, PermanentError) and batch.batch_id in result.stored:
            result.stored.remove(batch.batch_id)
            self._counters.add("processor_stored_items", decoded.stored_count, signal=signal)
            self._counters.add("processor_skipped_items", decoded.skipped_count, signal=signal)
            self._counters.add("processor_invalid_items", decoded.invalid_count, signal=signal)
            self._counters.add("processor_late_items", decoded.late_count, signal=signal)
            if isinstance(decoded, SpanColumns):
                self._counters.add("processor_excluded_items", decoded.excluded_count, signal=signal)
                self._counters.add("processor_clamped_items", decoded.clamped_count, signal=signal)
        else:
            self._counters.add("processor_duplicate_batches", signal=signal)
            self._counters.add("processor_duplicate_items", batch.item_count, signal=signal)
        return error
