"""Publishes what the spill holds, in the order of writing, as soon as RabbitMQ takes it.

A task of the exporter. Its publishes also find out that RabbitMQ is well again: there is no other probe.

A publish is never given up while its connection stands: it is under way, and a second one would only be a duplicate.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from dataclasses import dataclass
from typing import Final

import structlog

from rabbit_exporter.breaker import Breaker
from rabbit_exporter.settings import RabbitExporterSettings
from rabbit_exporter.spill import Spill
from rabbit_exporter.spill_store import Held, SpillStore
from rabbitmq import ConfirmedPublisher, Verdict, message_of, pause_s
from telemetry import Counters, PermanentError, RetryableError
from telemetry.queues import EXCHANGE

_log = structlog.get_logger(__name__)

_PAUSE_MIN_S: Final = 0.05
_PAUSE_MAX_S: Final = 1.0
_CANCEL_TIMEOUT_S: Final = 1.0
_STALL_S: Final = 30.0
"""A connection on which nothing is confirmed for so long is made anew: heartbeats do not tell of a stuck queue."""


@dataclass(slots=True, eq=False)
class _Entry:
    """A stretch on its way: not yet published while `verdict` is `None`."""

    held: Held
    verdict: Verdict | None = None
    sent_at: float = -math.inf
    is_done: bool = False


class Drain:
    """A component, to be started after the spill and the publisher and stopped before them."""

    def __init__(
        self,
        spill: Spill,
        publisher: ConfirmedPublisher,
        breaker: Breaker,
        settings: RabbitExporterSettings,
        counters: Counters,
    ) -> None:
        self._spill = spill
        self._publisher = publisher
        self._breaker = breaker
        self._settings = settings
        self._counters = counters
        # Half of the window of confirms is left to batches that come in meanwhile.
        self._max_messages = max(1, min(settings.drain_window_messages, settings.max_unconfirmed_messages // 2))
        self._max_bytes = settings.max_unconfirmed_bytes // 2
        self._spoken = asyncio.Event()
        self._stopping = asyncio.Event()
        self._failures = 0
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to drain."""
        if self._task is None:
            self._stopping.clear()
            self._task = asyncio.create_task(self._run(), name="drain the spill")

    async def stop(self, grace_s: float) -> None:
        """Publish nothing more, wait up to `grace_s` for confirms that are due. The rest stays in the spill."""
        task, self._task = self._task, None
        if task is None:
            return
        self._stopping.set()
        self._spoken.set()
        self._spill.arrived.set()
        await asyncio.wait({task}, timeout=grace_s)
        task.cancel()
        await asyncio.wait({task}, timeout=_CANCEL_TIMEOUT_S)

    async def _run(self) -> None:
        while not self._stopping.is_set():
            self._spill.arrived.clear()
            try:
                for store in self._spill.stores():
                    await self._drain(store)
                if not self._stopping.is_set():
                    await self._wait_for_more()
            except Exception:
                # A mistake of ours must not leave the spill to fill up for ever; the batches are still on the disk.
                _log.exception("draining the spill failed")
                await self._pause()

    async def _wait_for_more(self) -> None:
        try:
            async with asyncio.timeout(self._settings.spill_adopt_interval_s):
                await self._spill.arrived.wait()
        except TimeoutError:
            await self._spill.adopt()

    async def _drain(self, store: SpillStore) -> None:
        """Return when the store is empty, or when it is time to stop and nothing is under way."""
        window: deque[_Entry] = deque()
        ahead: deque[Held] = deque()
        done: list[Held] = []
        await self._spill.rewind(store)
        try:
            while not self._stopping.is_set() or _is_under_way(window):
                if not ahead and not self._stopping.is_set():
                    finished, done = done, []
                    ahead.extend(await self._spill.turn(store, finished, self._max_messages))
                self._fill(store, window, ahead)
                if not window:
                    break
                is_failing = await self._exchange(store, window)
                while window and window[0].is_done:
                    done.append(window.popleft().held)
                if is_failing:
                    await self._pause()
        finally:
            await self._spill.turn(store, done, 0)
        await self._spill.retire(store)

    def _fill(self, store: SpillStore, window: deque[_Entry], ahead: deque[Held]) -> None:
        size = sum(entry.held.size for entry in window)
        while ahead and len(window) < self._max_messages and (not window or size < self._max_bytes):
            held = ahead.popleft()
            size += held.size
            entry = _Entry(held, is_done=held.batch is None)
            window.append(entry)
            verdict = self._spill.late_verdict(store, held)
            if verdict is not None:
                self._watch(entry, verdict)

    async def _exchange(self, store: SpillStore, window: deque[_Entry]) -> bool:
        """Publish, wait for RabbitMQ to speak, and note what it said; return whether it takes nothing now."""
        is_refused = not self._stopping.is_set() and await self._publish(store, window)
        if not is_refused and _is_under_way(window):
            try:
                async with asyncio.timeout(_STALL_S):
                    await self._spoken.wait()
            except TimeoutError:
                # A broker that is short of memory says so, and confirms when it is over.
                if not self._publisher.is_blocked:
                    self._publisher.drop_connection(f"nothing was confirmed for {_STALL_S:g} s")
        self._spoken.clear()
        return await self._settle(store, window) or is_refused

    async def _publish(self, store: SpillStore, window: deque[_Entry]) -> bool:
        """Send what was not sent yet; after a failure a single one, as a probe. Return whether it is refused."""
        for entry in window:
            if entry.is_done or entry.verdict is not None or entry.held.batch is None:
                continue
            if self._failures and _is_under_way(window):
                return False
            try:
                verdict = self._publisher.send(EXCHANGE, message_of(entry.held.batch))
            except RetryableError as error:
                self._breaker.open(str(error))
                return True
            except PermanentError as error:
                await self._set_aside(store, entry, error)
                continue
            entry.sent_at = asyncio.get_running_loop().time()
            self._watch(entry, verdict)
        return False

    async def _settle(self, store: SpillStore, window: deque[_Entry]) -> bool:
        is_failing = False
        for entry in window:
            if entry.is_done or entry.verdict is None or not entry.verdict.done():
                continue
            error = entry.verdict.result()
            if error is None:
                self._note_confirmed(entry)
            elif isinstance(error, PermanentError):
                await self._set_aside(store, entry, error)
            else:
                entry.verdict, is_failing = None, True
                self._breaker.open(str(error))
        return is_failing

    def _note_confirmed(self, entry: _Entry) -> None:
        entry.is_done = True
        self._failures = 0
        # What was sent long ago says that RabbitMQ lives, not that a sender would get its answer in time.
        if asyncio.get_running_loop().time() - entry.sent_at < self._settings.spill_after_s:
            self._breaker.close()
        if entry.held.batch is not None:
            signal = entry.held.batch.signal
            self._counters.add("spill_drained_batches", signal=signal)
            self._counters.add("spill_drained_items", entry.held.batch.item_count, signal=signal)

    async def _set_aside(self, store: SpillStore, entry: _Entry, error: PermanentError) -> None:
        """Let one batch that can never be published not hold up those behind it."""
        await self._spill.set_aside(store, entry.held, str(error))
        entry.is_done = True

    def _watch(self, entry: _Entry, verdict: Verdict) -> None:
        entry.verdict = verdict
        verdict.add_done_callback(lambda _: self._spoken.set())

    async def _pause(self) -> None:
        pause = pause_s(self._failures, _PAUSE_MIN_S, _PAUSE_MAX_S)
        self._failures += 1
        try:
            async with asyncio.timeout(pause):
                await self._stopping.wait()
        except TimeoutError:
            pass  # as long as it should be


def _is_under_way(window: deque[_Entry]) -> bool:
    return any(entry.verdict is not None and not entry.is_done for entry in window)
