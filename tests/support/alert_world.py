"""Alerts on a real database with an injected clock: traffic is committed, rounds are taken one by one."""

from __future__ import annotations

from typing import Any

from alerting.alerts import Alert, alert_of, transition_of
from alerting.evaluator import Evaluator
from alerting.notification import Notification
from alerting.notifier import Channel, Channels
from alerting.observing import Watch
from alerting.reading import Asking, Reader
from alerting.rulebook import RuleBook
from alerting.rules import Rule, Signal
from alerting.settings import AlertingSettings
from alerting.silences import Silences
from alerting.trust import Pipeline
from query import MetricQuery, Query, QuerySettings, ResourceQuery
from storage.absent_live_feed import AbsentLiveFeed
from storage.component import build_alert_store, build_ingest_progress
from storage.history import SqlHistory
from storage.ingest_progress import Progress
from telemetry import Counters, RedPoint, SeriesKey
from telemetry.metric_points import MetricPoint
from tests.support.calls import point
from tests.support.doubles import ManualClock
from tests.support.notifications import RecordingNotifier


def rule(**changes: Any) -> Rule:
    """A rule that fires at once when more than a tenth of the calls of a service fails."""
    fields: dict[str, Any] = {
        "rule_id": "failing",
        "name": "Failing",
        "signal": Signal.ERROR_RATE,
        "warning": 0.1,
        "critical": 0.5,
        "min_requests": 1,
        "confidence": 0,
        "window_s": 30,
        "keep_firing_for_s": 0,
        "interval_s": 5,
    }
    return Rule(**(fields | changes))


class AlertWorld:
    """One database, and a process that evaluates alerts on it; `restarted` is the next process."""

    def __init__(
        self,
        history: SqlHistory,
        clock: ManualClock,
        *rules: Rule,
        channels: Channels | None = None,
        fence: int = 0,
        **settings: Any,
    ) -> None:
        self.history, self.clock, self.written = history, clock, rules
        self.given = settings
        self.settings = AlertingSettings(
            **({"default_rules": False, "group_interval_s": 0, "no_data_gone_s": 600} | settings)
        )
        self.counters = Counters()
        self.store = build_alert_store(history)
        self.progress = build_ingest_progress(history)
        quick = QuerySettings(history_cache_s=0, history_recheck_s=0)
        self.query = Query(quick, history, AbsentLiveFeed(), clock)
        self.metrics = MetricQuery(quick, history, clock)
        self.monotonic_s = 0.0
        self.pipeline = Pipeline(self.settings, self.progress, lambda: self.monotonic_s)
        self.asking = Asking(self.query, self.metrics, ResourceQuery(quick, self.query, history, clock))
        self.reader = Reader(self.settings, self.asking, self.pipeline, clock)
        self.rules = RuleBook(self.settings, self.store.documents, clock)
        self.silences = Silences(100, self.store.documents, clock)
        self.channels = channels if channels is not None else [Channel("chat", RecordingNotifier())]
        self.evaluator = Evaluator(
            self.settings,
            self.store,
            self.rules,
            self.silences,
            self.reader,
            self.pipeline,
            self.channels,
            self.counters,
            clock,
        )
        self.holder, self.fence = "me", fence
        self._batches = 0
        self._beat = 0
        self.lag_ms = 0

    async def begin(self) -> AlertWorld:
        """Write the rules and take the lease."""
        for one in self.written:
            await self.rules.create(one)
        return await self.take_over("me")

    async def take_over(self, holder: str) -> AlertWorld:
        self.holder = holder
        self.fence = await self.store.rounds.take(holder, await self.store.rounds.lease()) or 0
        return self

    async def restarted(self, holder: str = "heir") -> AlertWorld:
        """Return the next process, with nothing in its memory."""
        heir = AlertWorld(self.history, self.clock, channels=self.channels, **self.given)
        heir._batches, heir._beat, heir.monotonic_s = 10**6 + self._batches, self._beat, self.monotonic_s
        return await heir.take_over(holder)

    async def calls(
        self, count: int, errors: int = 0, *, duration_s: float = 0.05, at_s: int | None = None, **series: str
    ) -> None:
        """Commit calls that end now."""
        key = SeriesKey(**({"service_name": "shop", "http_route": "/buy"} | series))
        second = self.clock.now_s if at_s is None else at_s
        await self.commit(point(key, second, [duration_s] * count, errors))

    async def commit(self, *points: RedPoint, metrics: list[MetricPoint] | None = None) -> None:
        self._batches += 1
        await self.history.commit([self._batches.to_bytes(16, "big")], points, metrics or ())

    async def round(self, advance_s: float = 0) -> list[Alert]:
        """Let time pass, take a round, and return the alerts that are known."""
        self.clock.advance(advance_s)
        self.monotonic_s += max(advance_s, 0)
        self._beat += 1
        await self.progress.put(Progress(1, self._beat, 0, self.lag_ms, ""))
        await self.evaluator.round(self.holder, self.fence)
        return await self.alerts()

    async def rounds(self, seconds: float, interval_s: float = 5) -> None:
        """Take rounds for some time."""
        for _ in range(round(seconds / interval_s)):
            await self.round(interval_s)

    async def alerts(self) -> list[Alert]:
        rows = await self.store.rounds.states()
        return sorted((alert_of(row) for row in rows), key=lambda alert: sorted(alert.labels.items()))

    async def phases(self) -> dict[str, str]:
        """Return the phase of each alert by its labels' values."""
        return {"/".join(alert.labels.values()): alert.state.phase.value for alert in await self.alerts()}

    async def told(self) -> list[Notification]:
        """Return all that was put into the outbox, in the order that it was."""
        rows = await self.store.outbox.latest(1_000)
        found = [Notification.model_validate_json(row.document) for row in rows]
        return sorted(found, key=lambda one: one.created_s)

    async def news(self) -> list[str]:
        """Return the same in short: state, severity, and how many alerts."""
        return [f"{one.state.value} {one.severity.value} {len(one.items)}" for one in await self.told()]

    async def transitions(self) -> list[str]:
        rows = await self.store.rounds.history(1_000)
        return [f"{one.before.value}>{one.after.value}" for _, one in reversed([transition_of(row) for row in rows])]

    def watch(self, of: Rule) -> Watch:
        return Watch.of(of, 1, self.settings)
