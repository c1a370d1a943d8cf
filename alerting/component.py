"""Alerts as a component: holds or awaits the lease, evaluates round after round, sends what is in the outbox.

Made in `modelwatch/` from the store and the questions; any number of processes may run it on one database.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from alerting.dispatcher import Dispatcher, no_others
from alerting.evaluator import Evaluator
from alerting.notifier import Channels
from alerting.reading import Asking, Reader
from alerting.rulebook import RuleBook
from alerting.settings import AlertingSettings
from alerting.silences import Silences
from alerting.states import Phase
from alerting.trust import Pipeline
from storage.alert_rounds import LeaseLostError
from storage.alert_store import AlertStore
from storage.ingest_progress import IngestProgress
from storage.lease_keeper import LeaseKeeper, holder_name
from telemetry import Counters, ModelWatchError, NowNs, RetryableError
from telemetry.counters import CounterName

log = structlog.get_logger(__name__)

_NS_PER_S: Final = 1e9
_NS_PER_MS: Final = 1_000_000
_SHORTEST_PAUSE_S: Final = 0.05
_RETRY_S: Final = 1.0
LOOKS_PER_LEASE: Final = 6
_BEATS_PER_LEASE: Final = 3
_EXPIRE_EVERY_S: Final = 3_600.0
_LONGEST_ROUND_S: Final = 60.0
"""A round that takes longer hangs; then the lease is let go, so that another process can try."""
_DECLARED: Final[tuple[CounterName, ...]] = (
    "alerting_evaluations",
    "alerting_failed_evaluations",
    "alerting_frozen_evaluations",
    "alerting_transitions",
    "alerting_notifications",
    "alerting_takeovers",
)


class Alerting:
    """Component. Of all processes that run it on one database, one evaluates and sends."""

    def __init__(
        self,
        settings: AlertingSettings,
        store: AlertStore,
        evaluator: Evaluator,
        keeper: LeaseKeeper,
        channels: Channels,
        counters: Counters,
        now_ns: NowNs = time.time_ns,
        renew_channels: Callable[[], Awaitable[None]] = no_others,
    ) -> None:
        self._settings = settings
        self._store = store
        self._evaluator = evaluator
        self._keeper = keeper
        self._counters = counters
        self._now_ns = now_ns
        self._dispatcher = Dispatcher(
            settings, store.outbox, channels, lambda: keeper.leader, counters, now_ns, renew_channels=renew_channels
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._expire_at = 0.0
        self._trouble = ""
        self._turn_began_s: float | None = None
        for name in _DECLARED:
            counters.declare(name)
        counters.observe("alerting_is_evaluator", lambda: int(keeper.leader is not None))
        counters.observe("alerting_firing", lambda: self._count_of(Phase.FIRING))
        counters.observe("alerting_no_data", lambda: self._count_of(Phase.NO_DATA))
        counters.observe("alerting_round_seconds", lambda: evaluator.report.round_s if keeper.leader else 0)

    def use(self, settings: AlertingSettings) -> None:
        """Tell as often, try for as long, and keep for as long as these settings say from now on."""
        self._settings = settings
        self._evaluator.use(settings)
        self._dispatcher.use(settings)

    def use_channels(self, channels: Channels) -> None:
        """Tell and send to these from now on; what is under way to another ends as it began."""
        self._evaluator.use_channels(channels)
        self._dispatcher.use_channels(channels)

    async def start(self) -> None:
        """Begin to evaluate, or to wait for one's turn."""
        if self._tasks:
            return
        self._evaluator.forget()
        self._tasks = [
            asyncio.create_task(self._run(), name="alerts"),
            asyncio.create_task(self._beat(), name="lease of the alerts"),
            asyncio.create_task(self._dispatcher.run(), name="dispatcher of alerts"),
        ]

    async def stop(self) -> None:
        """End the round, give a delivery under way a moment, and let another process have its turn at once."""
        tasks, self._tasks = self._tasks, []
        if not tasks:
            return
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        try:
            await self._keeper.release()
        except ModelWatchError as error:
            log.info("lease of the alerts not released", reason=str(error))

    async def check(self) -> None:
        """Return when alerts are evaluated, here or elsewhere. Raises `RetryableError`."""
        if self._trouble:
            raise RetryableError(f"alerts are not evaluated: {self._trouble}")
        still_s = self._keeper.stands_still_s
        if still_s > 3 * self._settings.lease_s:
            raise RetryableError(f"no process has evaluated alerts for {still_s:.0f} s")

    async def _run(self) -> None:
        while True:
            self._turn_began_s = asyncio.get_running_loop().time()
            try:
                pause_s = await self._turn()
                self._trouble = ""
            except LeaseLostError:
                log.warning("another process evaluates the alerts now")
                self._keeper.lose()
                pause_s = _RETRY_S
            except ModelWatchError as error:
                self._say_once(str(error))
                pause_s = _RETRY_S
            except Exception as error:
                log.exception("round of alerts failed")
                self._trouble = f"a round failed ({type(error).__name__})"
                pause_s = _RETRY_S
            self._turn_began_s = None
            await asyncio.sleep(pause_s)

    async def _beat(self) -> None:
        """Keep the lease while a round takes long, but not for ever."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._settings.lease_s / LOOKS_PER_LEASE)
            leader = self._keeper.leader
            is_at_work = self._turn_began_s is not None and loop.time() - self._turn_began_s < _LONGEST_ROUND_S
            if leader is None or not is_at_work or self._keeper.idle_s < self._settings.lease_s / _BEATS_PER_LEASE:
                continue
            try:
                await self._store.rounds.renew(*leader)
                self._keeper.renewed()
            except ModelWatchError as error:
                log.debug("lease of the alerts not renewed", reason=str(error))
            except Exception:
                log.exception("lease of the alerts not renewed")

    async def _turn(self) -> float:
        """Do what there is to do; return how long to wait before the next time."""
        if self._keeper.fence is None:
            if not await self._keeper.try_to_take():
                return self._settings.lease_s / LOOKS_PER_LEASE
            self._counters.add("alerting_takeovers")
            self._evaluator.forget()
        fence = self._keeper.fence
        assert fence is not None
        if await self._evaluator.round(self._keeper.holder, fence):
            self._dispatcher.wake()
        self._keeper.renewed()
        await self._expire()
        wait_s = self._evaluator.next_due_s() - self._now_ns() / _NS_PER_S
        return max(min(wait_s, self._settings.lease_s / _BEATS_PER_LEASE), _SHORTEST_PAUSE_S)

    async def _expire(self) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._expire_at:
            self._expire_at = now + _EXPIRE_EVERY_S
            before_ms = self._now_ns() // _NS_PER_MS - round(self._settings.retention_s * 1_000)
            await self._store.rounds.expire(before_ms)

    def _count_of(self, phase: Phase) -> int:
        return self._evaluator.phases[phase] if self._keeper.leader else 0

    def _say_once(self, reason: str) -> None:
        if not self._trouble:
            log.warning("alerts cannot be evaluated now", reason=reason)
        self._trouble = reason


def build(
    settings: AlertingSettings,
    store: AlertStore,
    progress: IngestProgress,
    asking: Asking,
    channels: Channels,
    counters: Counters,
    *,
    now_ns: NowNs = time.time_ns,
    monotonic_s: Callable[[], float] = time.monotonic,
    renew_channels: Callable[[], Awaitable[None]] = no_others,
) -> Alerting:
    """Return the component on a store that somebody else opens and closes.

    `renew_channels` has `use_channels` called with what was changed a moment ago.
    """
    pipeline = Pipeline(settings, progress, monotonic_s)
    evaluator = Evaluator(
        settings,
        store,
        RuleBook(settings, store.documents, now_ns),
        Silences(settings.max_silences, store.documents, now_ns),
        Reader(settings, asking, pipeline, now_ns),
        pipeline,
        channels,
        counters,
        now_ns,
    )
    keeper = LeaseKeeper(settings.lease_s, store.rounds, holder_name(), monotonic_s, duty="evaluates the alerts")
    return Alerting(settings, store, evaluator, keeper, channels, counters, now_ns, renew_channels)
