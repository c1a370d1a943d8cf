"""Brings batches to one target, each until the target has it, refuses it for good, or it is too old.

Between a queue, which hands batches to `deliver` and forgets each when that returns, and the sender of the protocol.
Knows nothing of the other targets: a slow or dead one holds up its own queue and no more.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict

import structlog

from otlp_exporter.answers import Sender, Taken, TargetFailedError, TargetRefusedError
from otlp_exporter.patience import Patience
from otlp_exporter.refused_files import RefusedFiles
from otlp_exporter.service_filter import ServiceFilter
from otlp_exporter.settings import ExporterSettings
from otlp_exporter.target_settings import TargetSettings
from telemetry import Batch, Counters, NowNs, PermanentError
from telemetry.batch import batch_id_of
from telemetry.conventions import METRIC_OVERFLOW
from telemetry.counters import CounterName
from telemetry.forwarding_trail import header_of
from telemetry.item_count import item_count_of

_log = structlog.get_logger(__name__)

_NS_PER_S = 1_000_000_000


class Delivery:
    """One target's. `max_concurrent` batches are under way at once; a batch that fails keeps its place among them."""

    def __init__(
        self,
        target: TargetSettings,
        settings: ExporterSettings,
        sender: Sender,
        refused: RefusedFiles,
        counters: Counters,
        own_id: str,
        now_ns: NowNs = time.time_ns,
        patience: Patience | None = None,
    ) -> None:
        self.target = target
        self._settings = settings
        self._sender = sender
        self._refused = refused
        self._counters = counters
        self._own_id = own_id
        self._now_ns = now_ns
        # What derived metrics add up beyond their limit is of services that the target wants.
        always = (METRIC_OVERFLOW,) if target.derived else ()
        self._filter = ServiceFilter(target.services, target.excluded_services, always)
        self._patience = patience or Patience(settings)
        self._slots = asyncio.Semaphore(target.max_concurrent)
        self._taken: OrderedDict[bytes, None] = OrderedDict()
        self._under_way: dict[bytes, asyncio.Future[None]] = {}
        self._in_hand: dict[int, Batch] = {}
        self._is_circle_told = False
        self._last_success_ns = 0
        self._last_failure_ns = 0
        counters.observe("forward_in_hand_batches", lambda: len(self._in_hand), target=target.name)
        counters.observe("forward_is_failing", lambda: int(self._patience.failures > 0), target=target.name)
        counters.observe("forward_last_success_unix_s", lambda: self._last_success_ns / 1e9, target=target.name)
        counters.observe("forward_last_failure_unix_s", lambda: self._last_failure_ns / 1e9, target=target.name)

    @property
    def in_hand(self) -> int:
        """How many batches were handed over and are not done."""
        return len(self._in_hand)

    def oldest_received_ns(self) -> int | None:
        """Return when the oldest batch in hand was received."""
        return min((batch.received_unix_nano for batch in self._in_hand.values()), default=None)

    async def deliver(self, batch: Batch) -> None:
        """Return when nothing is left to do for the batch, however long that takes; what became of it is counted."""
        self._in_hand[id(batch)] = batch
        try:
            async with self._slots:
                wanted = self._wanted(batch)
                first = None if wanted is None else await self._bring_unless_under_way(wanted)
            while wanted is not None and first is not None:
                await asyncio.wait({first})  # without a slot, which others can use
                async with self._slots:
                    first = await self._bring_unless_under_way(wanted)
        finally:
            del self._in_hand[id(batch)]

    async def close(self) -> None:
        """Close the connections to the target."""
        await self._sender.close()

    def _wanted(self, batch: Batch) -> Batch | None:
        """Return what the target gets of a batch, `None` for nothing."""
        if not self.target.gets(batch.signal) or self._comes_in_a_circle(batch):
            return None
        body = self._filter.apply(batch.body)
        if body is batch.body:
            return batch
        try:
            items = item_count_of(batch.signal, body)
        except PermanentError:
            return batch
        self._count("forward_filtered_items", batch, batch.item_count - items)
        if not body:
            return None
        return Batch.of(
            batch.signal,
            body,
            item_count=items,
            received_unix_nano=batch.received_unix_nano,
            forwarded_by=batch.forwarded_by,
        )

    def _comes_in_a_circle(self, batch: Batch) -> bool:
        """Tell whether a batch goes no further, and count it: we forwarded it before, or too many others did."""
        if self._own_id in batch.forwarded_by:
            reason = "returned"
        elif len(batch.forwarded_by) >= self._settings.max_hops:
            reason = "hops"
        else:
            return False
        self._count("forward_circled_items", batch, batch.item_count, reason=reason)
        if not self._is_circle_told:
            self._is_circle_told = True
            _log.warning(
                "data comes back that was forwarded: the targets of several ModelWatch form a circle, which ends here",
                target=self.target.name,
                signal=batch.signal.value,
                reason=reason,
                forwarded_by=header_of(batch.forwarded_by),
                own_id=self._own_id,
            )
        return True

    async def _bring_unless_under_way(self, batch: Batch) -> asyncio.Future[None] | None:
        """Return what is done when an equal batch, which is on its way, has come to its end; `None` if this one has."""
        # By content: what a sender repeated, and what came back to us out of a circle of backends, has the same.
        key = batch_id_of(batch.signal, batch.body)
        if key in self._under_way:
            return self._under_way[key]
        self._under_way[key] = ended = asyncio.get_running_loop().create_future()
        try:
            await self._bring(batch, key)
        finally:
            del self._under_way[key]
            ended.set_result(None)
        return None

    async def _bring(self, batch: Batch, key: bytes) -> None:
        if key in self._taken:
            self._count("forward_duplicate_items", batch, batch.item_count)
            return None
        while True:
            attempted_at_s = await self._patience.wait()
            try:
                taken = await self._sender.send(batch.signal, batch.body, (*batch.forwarded_by, self._own_id))
            except TargetFailedError as error:
                self._note_failure(error, attempted_at_s)
            except TargetRefusedError as error:
                return await self._set_aside(batch, error)
            except Exception as error:
                # A mistake of ours says nothing about the batch.
                _log.exception("forwarding a batch failed", target=self.target.name)
                self._note_failure(TargetFailedError(type(error).__name__, "internal"), attempted_at_s)
            else:
                return self._note_success(batch, key, taken)
            if self._now_ns() - batch.received_unix_nano > self.target.queue_max_age_s * _NS_PER_S:
                self._count("forward_dropped_items", batch, batch.item_count, reason="expired")
                return None

    def _note_success(self, batch: Batch, key: bytes, taken: Taken) -> None:
        if self._patience.failures:
            _log.info("a target takes data again", target=self.target.name)
        self._patience.succeed()
        self._last_success_ns = self._now_ns()
        self._taken[key] = None
        while len(self._taken) > self._settings.remembered_batches:
            self._taken.popitem(last=False)
        rejected = min(taken.rejected, batch.item_count)
        self._count("forward_sent_batches", batch, 1)
        self._count("forward_sent_bytes", batch, len(batch.body))
        self._count("forward_sent_items", batch, batch.item_count - rejected)
        if rejected:
            self._count("forward_rejected_items", batch, rejected)
        if rejected or taken.message:
            _log.warning(
                "a target took a request in part",
                target=self.target.name,
                signal=batch.signal.value,
                rejected=rejected,
                message=taken.message,
            )

    def _note_failure(self, error: TargetFailedError, attempted_at_s: float) -> None:
        is_first = not self._patience.failures
        pause_s = self._patience.fail(attempted_at_s, error.retry_after_s)
        self._last_failure_ns = self._now_ns()
        self._counters.add("forward_failed_attempts", target=self.target.name, cause=error.cause)
        if is_first:
            name, endpoint = self.target.name, self.target.endpoint
            _log.warning(
                "a target takes no data now: its queue waits",
                target=name,
                endpoint=endpoint,
                reason=str(error),
                pause_s=round(pause_s, 1),
            )

    async def _set_aside(self, batch: Batch, error: TargetRefusedError) -> None:
        self._last_failure_ns = self._now_ns()
        # It answers, so that others may be sent; whether it takes them is another matter.
        self._patience.succeed()
        self._counters.add("forward_failed_attempts", target=self.target.name, cause=error.cause)
        self._count("forward_refused_items", batch, batch.item_count)
        _log.error(
            "a target refused a request for good: set it aside",
            target=self.target.name,
            signal=batch.signal.value,
            items=batch.item_count,
            reason=str(error),
        )
        await self._refused.keep(batch, str(error))

    def _count(self, name: CounterName, batch: Batch, amount: int, **labels: str) -> None:
        self._counters.add(name, amount, target=self.target.name, signal=batch.signal.value, **labels)
