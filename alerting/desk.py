"""All that people can see and do about alerts, as objects: for the API, the page and the command line alike.

Reads and writes the store that evaluators work on; needs no evaluator in its own process.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from pydantic import ValidationError

from alerting.acks import Ack, acks_of
from alerting.alerts import Alert, alert_of, transition_of
from alerting.announcing import links_of
from alerting.backtest import Backtester
from alerting.evidence import EvidenceFinder
from alerting.notification import Evidence, Links, Notification, Severity, Told
from alerting.notifier import trouble_with
from alerting.observing import Watch
from alerting.reading import Asking, Reader
from alerting.report import Report, report_of
from alerting.rulebook import KnownRule, RuleBook
from alerting.rules import Rule
from alerting.settings import AlertingSettings
from alerting.silences import Silence, Silences, silenced_by
from alerting.states import OPEN, Phase, Transition
from storage.alert_documents import AckRow
from storage.alert_rounds import OutboxRow
from storage.alert_store import AlertStore
from telemetry import NowNs, PermanentError

_NS_PER_S: Final = 1e9
_NS_PER_MS: Final = 1_000_000
_MS_PER_S: Final = 1_000

HistoryKey = tuple[int, str, int]
"""The place of a transition: time in milliseconds, alert, number."""


DeliveryKey = tuple[int, str, str]
"""The place of a delivery: time in milliseconds, notification, channel."""


class UnknownAlertError(PermanentError):
    """There is no open alert of this id."""


class OpenAlert(NamedTuple):
    """An alert that is pending, firing or without data, with all that is said of it. `rule` is `None` if it is gone."""

    alert: Alert
    rule: KnownRule | None
    threshold: float | None
    ack: Ack | None
    silence: Silence | None
    links: Links


class Past(NamedTuple):
    """A transition."""

    key: HistoryKey
    alert_id: str
    rule_id: str
    labels: Mapping[str, str]
    transition: Transition


class Delivery(NamedTuple):
    """A notification to one channel and how that stands. `finished_s` is `None` while it waits."""

    key: DeliveryKey
    notification: Notification
    channel: str
    status: str
    attempts: int
    detail: str
    created_s: float
    due_s: float
    finished_s: float | None


class AlertDesk:
    """Everything raises `StorageUnavailableError`, and what the parts say."""

    def __init__(
        self,
        settings: AlertingSettings,
        store: AlertStore,
        asking: Asking,
        now_ns: NowNs = time.time_ns,
    ) -> None:
        self._settings = settings
        self._store = store
        self._now_ns = now_ns
        self.rules = RuleBook(settings, store.documents, now_ns)
        self.silences = Silences(settings.max_silences, store.documents, now_ns)
        self.backtester = Backtester(settings, asking)
        self._evidence = EvidenceFinder(settings, Reader(settings, asking, None, now_ns))

    def use(self, settings: AlertingSettings) -> None:
        """Judge by these settings from now on; rules and silences go on as they began."""
        self._settings = settings

    @property
    def retention_s(self) -> float:
        """For how long changes are kept, as it is set now."""
        return self._settings.retention_s

    async def channel_trouble(self, rule: Rule) -> str:
        """Return what is amiss with the channels that a rule names; nothing if all is well."""
        return (await self.channel_troubles([rule]))[rule.rule_id]

    async def channel_troubles(self, rules: Sequence[Rule]) -> dict[str, str]:
        """Return the same of several rules, by their ids."""
        made = await self._store.channels.rows() if any(rule.channels for rule in rules) else []
        known = [*(channel.name for channel in self._settings.channels), *(row.name for row in made)]
        return {rule.rule_id: trouble_with(rule.channels, known) for rule in rules}

    async def report(self) -> Report:
        """Return what the evaluator says of its last round."""
        return report_of((await self._store.rounds.lease()).document)

    async def open_alerts(self) -> list[OpenAlert]:
        """Return what is pending, firing or without data: the gravest first, then those that began first."""
        rows = await self._store.rounds.states([phase.value for phase in OPEN])
        if not rows:
            return []
        rules = {one.rule.rule_id: one for one in await self.rules.rules()}
        acks = acks_of(await self._store.documents.acks())
        silences = await self.silences.silences()
        now_s = self._now_ns() / _NS_PER_S
        found = [self._open(alert_of(row), rules, acks, silences, now_s) for row in rows]
        return sorted(found, key=gravity_of)

    async def evidence(self, one: OpenAlert) -> Evidence | None:
        """Return what else is known of an alert, as of when it began to fire, or now if it is pending. Never raises."""
        if one.rule is None:
            return None
        watch, state = Watch.of(one.rule.rule, one.rule.revision, self._settings), one.alert.state
        at_s = self._now_ns() / _NS_PER_S if state.phase == Phase.PENDING else state.started_s
        return await self._evidence.find(watch, one.alert.labels, at_s)

    async def history(
        self,
        limit: int,
        *,
        before: HistoryKey | None = None,
        since_s: int = 0,
        until_s: int | None = None,
        rule_id: str | None = None,
        alert_id: str | None = None,
    ) -> list[Past]:
        """Return transitions, latest first, earlier than the one that `before` names."""
        rows = await self._store.rounds.history(
            limit,
            before=before,
            since_ms=since_s * _MS_PER_S,
            until_ms=None if until_s is None else until_s * _MS_PER_S,
            rule_id=rule_id,
            alert_id=alert_id,
        )
        return [
            Past((row.at_ms, row.alert_id, row.sequence), row.alert_id, row.rule_id, *transition_of(row))
            for row in rows
        ]

    async def acknowledge(self, alert_id: str, by: str, note: str) -> Ack:
        """Take note of an alert that fires. Raises `UnknownAlertError`."""
        rows = await self._store.rounds.states([phase.value for phase in OPEN])
        alert = next((alert_of(row) for row in rows if row.alert_id == alert_id), None)
        if alert is None or alert.state.severity is None:
            raise UnknownAlertError(f"there is no alert {alert_id!r} that fires")
        now_ms = self._now_ns() // _NS_PER_MS
        state = alert.state
        assert state.severity is not None
        ack = Ack(
            alert_id=alert_id,
            started_s=state.started_s,
            severity=state.severity,
            by=by,
            note=note,
            at_s=now_ms / _MS_PER_S,
        )
        await self._store.documents.put_ack(AckRow(alert_id, now_ms, ack.model_dump_json()))
        return ack

    async def deliveries(
        self, limit: int, *, before: DeliveryKey | None = None, channel: str | None = None
    ) -> list[Delivery]:
        """Return notifications and what became of them, latest first, earlier than the one that `before` names."""
        rows = await self._store.outbox.latest(limit, before=before, channel=channel)
        return [
            Delivery(
                (row.created_ms, row.notification_id, row.channel),
                _notification_in(row),
                row.channel,
                row.status,
                row.attempts,
                row.detail,
                row.created_ms / _MS_PER_S,
                row.due_ms / _MS_PER_S,
                row.finished_ms / _MS_PER_S if row.finished_ms else None,
            )
            for row in rows
        ]

    def _open(
        self,
        alert: Alert,
        rules: Mapping[str, KnownRule],
        acks: Mapping[str, Ack],
        silences: Sequence[Silence],
        now_s: float,
    ) -> OpenAlert:
        rule, ack, severity = rules.get(alert.rule_id), acks.get(alert.alert_id), alert.state.severity
        threshold, scope = None, rule.rule.exact_scope if rule is not None else {}
        if rule is not None:
            wanted = rule.rule.critical if severity == Severity.CRITICAL else rule.rule.warning
            threshold = wanted if wanted is not None else rule.rule.critical
        return OpenAlert(
            alert,
            rule,
            threshold,
            ack if ack is not None and ack.holds_for(alert.state) else None,
            silenced_by(silences, now_s, alert.rule_id, {**scope, **alert.labels}, severity),
            links_of(alert, self._settings),
        )


def _notification_in(row: OutboxRow) -> Notification:
    """Return what was told; of what another version wrote and this one cannot read, that it is so."""
    try:
        return Notification.model_validate_json(row.document)
    except ValidationError:
        return Notification(
            notification_id=row.notification_id,
            created_s=row.created_ms / _MS_PER_S,
            rule_id="",
            rule_name="of another version of ModelWatch",
            signal="",
            unit="",
            comparison="above",
            group_labels={},
            state=Told.FIRING,
            severity=Severity.WARNING,
            items=(),
        )


def gravity_of(one: OpenAlert) -> tuple[int, float, str]:
    """Return what alerts are in order by: the gravest first, then those that began first."""
    severity = one.alert.state.severity
    gravity = {Severity.CRITICAL: 0, Severity.WARNING: 1, None: 2}[severity]
    return gravity, one.alert.state.started_s, one.alert.alert_id
