"""The intake: takes batches from the receiver or from RabbitMQ and returns each when its group is committed.

The last consumer of the line. Many `consume` calls wait at once and share one commit, so that the price of a
transaction is paid a few times a second and not for every request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import structlog

from processor.group_commit import GroupCommit, RunInWorker
from processor.settings import ProcessorSettings
from processor.trace_keeper import TraceKeeper
from processor.waiting_room import Waiting, WaitingRoom
from storage.ports import LiveFeed
from telemetry import Batch, Counters, ModelWatchError, RetryableError, Signal

_QUIET_SHARE: Final = 1 / 8
_QUIET_PER_COMMIT: Final = 4
"""A group is complete when nothing arrived for an eighth of the interval, and for four times as long as the last commit
took: commits that cost much keep their interval, and quick ones are never busy for more than a fifth of the time."""

_log = structlog.get_logger(__name__)


class Intake:
    """Component and Consumer. One commit at a time; while it runs, the next group gathers.

    Under steady load a commit begins every `commit_interval_s`, or sooner if a group is full. A batch that arrives
    after a pause is committed at once, and a group to which nothing is added any more is not kept waiting: one sender
    that waits for each answer would otherwise get four answers a second.
    """

    def __init__(
        self,
        settings: ProcessorSettings,
        live: LiveFeed,
        counters: Counters,
        make_group_commit: Callable[[RunInWorker], GroupCommit],
        keeper: TraceKeeper,
        use_limits: Callable[[ProcessorSettings], None],
    ) -> None:
        self._settings = settings
        self._live = live
        self._counters = counters
        self._make_group_commit = make_group_commit
        self._keeper = keeper
        self._use_limits = use_limits
        self._committer: asyncio.Task[None] | None = None

    def use(self, settings: ProcessorSettings) -> None:
        """Keep as many series, and as many spans for traces, as these settings say from now on."""
        self._keeper.use(settings.traces)
        self._use_limits(settings)

    async def start(self) -> None:
        """Begin to take batches. What an earlier process stored may be missing from the live feed: it starts over."""
        if self._committer is not None:
            return
        await self._live.reset()
        self._is_stopping = False
        self._wake = asyncio.Event()
        self._next_commit_s = 0.0
        self._last_arrival_s = 0.0
        self._quiet_s = self._settings.commit_interval_s * _QUIET_SHARE
        self._room = WaitingRoom(
            group_items=self._settings.group_items,
            group_batches=self._settings.group_batches,
            max_batches=self._settings.max_waiting_batches,
            max_bytes=self._settings.max_waiting_bytes,
        )
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="modelwatch-processor")
        self._group_commit = self._make_group_commit(self._run_in_worker)
        self._committer = asyncio.create_task(self._commit_groups(), name="processor committer")

    async def stop(self) -> None:
        """Refuse new batches, commit those in hand, hand back what is not committed after `stop_timeout_s`."""
        committer = self._committer
        if committer is None:
            return
        self._is_stopping = True
        self._wake.set()
        _, late = await asyncio.wait([committer], timeout=self._settings.stop_timeout_s)
        if late:
            _log.warning("stopped before all was committed", stop_timeout_s=self._settings.stop_timeout_s)
            committer.cancel()
            await asyncio.wait([committer], timeout=1)
        self._worker.shutdown(wait=not late, cancel_futures=True)
        self._committer = None

    async def consume(self, batch: Batch) -> None:
        """Return when the batch is committed, by this call or an earlier one with the same `batch_id`.

        Logs are taken and not kept: they are counted, and nothing else is done with them.
        Raises `PermanentError` if it cannot be read, `RetryableError` if it was not stored or there is no room. A
        cancelled call may leave its batch in the group: sent again, it counts once all the same.
        """
        signal = batch.signal.value
        self._counters.add("processor_received_batches", signal=signal)
        self._counters.add("processor_received_items", batch.item_count, signal=signal)
        if batch.signal is Signal.LOGS:
            self._counters.add("processor_discarded_items", batch.item_count, signal=signal)
            return
        try:
            if self._committer is None or self._is_stopping:
                raise RetryableError("the processor is stopping or not started: send again later")
            is_first = not self._room.has_group
            settled = self._room.enter(batch)
        except RetryableError:
            self._counters.add("processor_refused_items", batch.item_count, signal=signal)
            raise
        self._last_arrival_s = asyncio.get_running_loop().time()
        if is_first or self._room.is_group_full:
            self._wake.set()
        await settled

    async def _commit_groups(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._room.has_group or not self._is_stopping:
                self._wake.clear()
                pause_s = self._pause_s(loop.time())
                if pause_s is None or pause_s > 0:
                    await self._woken_within(pause_s)
                else:
                    began_s, interval_s = loop.time(), self._settings.commit_interval_s
                    self._next_commit_s = began_s + interval_s
                    await self._commit(self._room.take())
                    self._quiet_s = max(interval_s * _QUIET_SHARE, (loop.time() - began_s) * _QUIET_PER_COMMIT)
        finally:
            left = self._room.take()
            self._room.settle(left, [self._refusal(waiting) for waiting in left])

    def _pause_s(self, now_s: float) -> float | None:
        """Return how long to wait before the next commit, `None` for until a batch comes."""
        if not self._room.has_group:
            return None
        if self._is_stopping or self._room.is_group_full:
            return 0
        return min(self._next_commit_s, self._last_arrival_s + self._quiet_s) - now_s

    async def _woken_within(self, pause_s: float | None) -> None:
        try:
            async with asyncio.timeout(pause_s):
                await self._wake.wait()
        except TimeoutError:
            pass  # the pause is over

    async def _commit(self, group: list[Waiting]) -> None:
        outcomes: list[ModelWatchError | None] | None = None
        try:
            outcomes = await self._group_commit.commit([waiting.batch for waiting in group])
        except Exception:
            _log.exception("group could not be committed", batches=len(group))
        finally:
            # Also when this task is cancelled: nobody may be left waiting.
            if outcomes is None:
                outcomes = [self._refusal(waiting) for waiting in group]
            self._room.settle(group, outcomes)

    def _refusal(self, waiting: Waiting) -> RetryableError:
        batch = waiting.batch
        self._counters.add("processor_refused_items", batch.item_count, signal=batch.signal.value)
        return RetryableError("the batch may not have been stored: send it again")

    async def _run_in_worker(self, function: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._worker, function, *args)
