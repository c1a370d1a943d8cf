"""What waits to be sent: a bounded row of batches, each tried until it is taken.

Between the sampler, which never waits, and the consumer, which may be away for a while. The oldest make room for newer
ones: totals are told again with every sample, so a gap costs resolution and no counts.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import Final

import structlog

from telemetry import Batch, Consumer, Counters, PermanentError, RetryableError

FIRST_PAUSE_S: Final = 0.5
MAX_PAUSE_S: Final = 30.0


class Outbox:
    """`put` at any time; `run` until cancelled; made = sent + refused + dropped + waiting, in points."""

    def __init__(self, consumer: Consumer, max_bytes: int, counters: Counters) -> None:
        self._consumer = consumer
        self._max_bytes = max_bytes
        self._counters = counters
        self._waiting: deque[Batch] = deque()
        self._in_hand: Batch | None = None
        self._has_some = asyncio.Event()
        self._problem: str | None = None
        self.waiting_bytes = 0

    def put(self, batch: Batch) -> None:
        """Add a batch, dropping the oldest that wait if they are too many bytes together."""
        self._counters.add("container_stats_points", batch.item_count)
        self._waiting.append(batch)
        self.waiting_bytes += len(batch.body)
        while self.waiting_bytes > self._max_bytes and self._waiting:
            dropped = self._waiting.popleft()
            self.waiting_bytes -= len(dropped.body)
            self._counters.add("container_stats_dropped_points", dropped.item_count)
        self._has_some.set()

    def check(self) -> None:
        """Raise `RetryableError` if the last attempt to send failed."""
        if self._problem is not None:
            raise RetryableError(self._problem)

    async def run(self) -> None:
        """Send until cancelled."""
        pause_s = FIRST_PAUSE_S
        while True:
            if not self._has_work():
                self._has_some.clear()
                await self._has_some.wait()
            try:
                await self._send_first()
                pause_s = FIRST_PAUSE_S
            except RetryableError as error:
                self._counters.add("container_stats_retries", 1)
                self._note(str(error))
                await asyncio.sleep(max(pause_s, error.retry_after_s))
                pause_s = min(2 * pause_s, MAX_PAUSE_S)

    async def flush(self, timeout_s: float) -> None:
        """Send what waits, once, as far as time allows."""
        with contextlib.suppress(TimeoutError, RetryableError):
            async with asyncio.timeout(timeout_s):
                while self._has_work():
                    await self._send_first()

    def _has_work(self) -> bool:
        return self._in_hand is not None or bool(self._waiting)

    async def _send_first(self) -> None:
        """Send the oldest batch; it stays in hand until it is taken or refused for good, and is not dropped then."""
        batch = self._in_hand = self._in_hand or self._waiting.popleft()
        try:
            await self._consumer.consume(batch)
        except PermanentError as error:
            self._counters.add("container_stats_refused_points", batch.item_count)
            self._note(str(error))
        else:
            self._counters.add("container_stats_sent_points", batch.item_count)
            self._note(None)
        self._in_hand = None
        self.waiting_bytes -= len(batch.body)

    def _note(self, problem: str | None) -> None:
        """Log when sending begins to fail, when the reason changes, and when it works again."""
        if problem != self._problem:
            log = structlog.get_logger(__name__)
            if problem:
                log.warning("metrics of containers and processes are not taken", reason=problem)
            else:
                log.info("metrics of containers and processes are taken again")
            self._problem = problem
