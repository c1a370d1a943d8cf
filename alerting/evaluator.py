"""A round: read the rules, ask, evaluate, decide what is told, and keep all of it in one transaction.

The process that holds the lease does one after the other. Nothing in memory moves before the transaction is through;
when its outcome is unknown, everything is read from the database again.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import structlog

from alerting.acks import acks_of, severities_of
from alerting.alerts import Alert, alert_of
from alerting.announcing import (
    Announcement,
    Spoken,
    announcements_of,
    notification_of,
    shortened,
    with_evidence,
)
from alerting.drafts import AlertsByRule, Draft
from alerting.evaluation import by_rule, evaluate
from alerting.evidence import EvidenceFinder
from alerting.hearing import hearing_of, late_announcements_of
from alerting.notification import Evidence, Notification, Severity, Told
from alerting.notifier import Channels
from alerting.observing import Answers, Watch, observe
from alerting.questions import LagQuestion, Question
from alerting.reading import Reader
from alerting.report import Report, report_of
from alerting.rulebook import RuleBook
from alerting.rules import Rule
from alerting.settings import AlertingSettings
from alerting.silences import Silence, Silences, silenced_by
from alerting.states import OPEN, Phase
from alerting.trust import Pipeline
from storage.alert_rounds import OutboxRow
from storage.alert_store import AlertStore
from telemetry import Counters, NowNs

log = structlog.get_logger(__name__)

_NS_PER_S: Final = 1e9
_MS_PER_S: Final = 1_000
_INLINE_GROUPS: Final = 500
_Part = tuple[str, Notification, Watch | None]
"""A channel, what goes there, and the rule that it is of, as far as that is known."""
_SHOWN_EVIDENCE: Final = 3
"""Alerts of a notification to a channel that evidence is asked for; the others have their numbers."""
_MOST_EVIDENCE: Final = 20
"""Alerts of a round that it is asked for."""


class Evaluator:
    """Evaluates what is due, one round at a time."""

    def __init__(
        self,
        settings: AlertingSettings,
        store: AlertStore,
        rules: RuleBook,
        silences: Silences,
        reader: Reader,
        pipeline: Pipeline,
        channels: Channels,
        counters: Counters,
        now_ns: NowNs = time.time_ns,
    ) -> None:
        self._settings = settings
        self._store = store
        self._rules = rules
        self._silences = silences
        self._reader = reader
        self._pipeline = pipeline
        self._channels = channels
        self._counters = counters
        self._now_ns = now_ns
        self._evidence = EvidenceFinder(settings, reader)
        self.phases: Counter[Phase] = Counter()
        self.report = Report()
        self.forget()

    def use(self, settings: AlertingSettings) -> None:
        """Tell as often, and trust data, as these settings say from the next round on."""
        self._settings = settings
        self._pipeline.use(settings)

    def use_channels(self, channels: Channels) -> None:
        """Tell these from the next round on."""
        self._channels = channels

    def forget(self) -> None:
        """Read everything from the database again in the next round: another process may have changed it."""
        self._is_loaded = False
        self._alerts: AlertsByRule = {}
        self._closing: dict[str, Alert] = {}
        self._watches: dict[str, Watch] = {}
        self._tried_s: dict[str, float] = {}
        self._evaluated_s: dict[str, float] = {}
        self._resumed_s: float | None = None
        self._frozen: set[str] = set()
        self._gone: dict[str, Watch | None] = {}
        """What the rules of the alerts that are closing were, as far as that is known."""

    def next_due_s(self) -> float:
        """Return the Unix second at which the next rule is due, as far as the rules are known."""
        return min((self._due_s(watch) for watch in self._watches.values()), default=0.0)

    async def round(self, holder: str, fence: int) -> int:
        """Evaluate what is due; return how many notifications were put into the outbox.

        Raises `LeaseLostError` and `StorageUnavailableError`; then nothing was changed, or it will be read again.
        """
        began, now_s = time.perf_counter(), self._now_s()
        watches = {watch.rule.rule_id: watch for watch in await self._rules.watches()}
        if not self._is_loaded:
            await self._load(watches)
        draft = Draft(self._alerts, self._closing)
        self._close_what_is_gone(draft, watches, now_s)
        due = [watch for watch in watches.values() if self._is_due(watch, now_s)]
        trouble = await self._pipeline.trouble()
        judged = await self._judge(draft, due, trouble, now_s)
        failures = {rule_id: why for rule_id, why in self.report.failures.items() if rule_id in watches}
        failures = {rule_id: why for rule_id, why in (failures | judged.failures).items() if rule_id not in judged.done}
        await self._announce(draft, watches, now_s)
        draft.forget(watches, now_s, self._settings)
        is_frozen_still = bool(trouble) and bool(self.report.frozen_reason)
        report = Report(
            at_s=now_s,
            round_s=time.perf_counter() - began,
            rules=len(watches),
            groups=judged.groups if due else self.report.groups,
            left_out=judged.left_out if due else self.report.left_out,
            frozen_reason=trouble,
            frozen_since_s=self.report.frozen_since_s if is_frozen_still else now_s if trouble else 0.0,
            failures=failures,
        )
        self._is_loaded = False  # until it is known that the transaction is through
        await self._store.rounds.commit(holder, fence, draft.round_of(report.model_dump_json()))
        self._adopt(draft, watches, judged, report, now_s)
        return len(draft.outbox)

    async def _load(self, watches: Mapping[str, Watch]) -> None:
        self.forget()
        report = report_of((await self._store.rounds.lease()).document)
        self.report = report
        self._resumed_s = report.frozen_since_s or report.at_s or None
        labels = {rule_id: watch.rule.labels for rule_id, watch in watches.items()}
        self._alerts = by_rule([alert_of(row) for row in await self._store.rounds.states()], labels)
        self._frozen = set(watches) if report.frozen_reason else set()
        self._watches = dict(watches)
        self._is_loaded = True

    def _close_what_is_gone(self, draft: Draft, watches: Mapping[str, Watch], now_s: float) -> None:
        for rule_id, of_rule in list(draft.alerts.items()):
            watch = watches.get(rule_id)
            before = self._watches.get(rule_id) or watch or self._rules.watch_of(rule_id)
            gone = [group for group, alert in of_rule.items() if not _carries_on(before, watch, alert)]
            if gone:
                reason = "the rule was changed" if watch is not None else "the rule was turned off or deleted"
                draft.close(rule_id, gone, now_s, reason)
                self._gone[rule_id] = before
        draft.reopen(watches)

    def _is_due(self, watch: Watch, now_s: float) -> bool:
        due_s = self._due_s(watch)
        return now_s >= due_s or due_s - now_s > watch.rule.interval_s  # or the clock was put back

    def _due_s(self, watch: Watch) -> float:
        last_s = self._tried_s.get(watch.rule.rule_id)
        if last_s is None:
            return 0.0
        # On whole multiples, so that rules of one interval ask their questions together.
        interval_s = watch.rule.interval_s
        return (last_s // interval_s + 1) * interval_s

    async def _judge(self, draft: Draft, due: Sequence[Watch], trouble: str, now_s: float) -> _Judged:
        judged = _Judged()
        asking = [watch for watch in due if not trouble or LagQuestion() in watch.questions]
        judged.frozen.update(watch.rule.rule_id for watch in due if watch not in asking)
        self._counters.add("alerting_frozen_evaluations", len(judged.frozen))
        questions: dict[Question, None] = {question: None for watch in asking for question in watch.questions}
        answers, refused = await self._reader.answers(questions)
        room = self._settings.max_open_alerts - draft.open_count
        for watch in asking:
            rule_id = watch.rule.rule_id
            why = next((refused[question] for question in watch.questions if question in refused), None)
            if why is not None:
                judged.failures[rule_id] = why
                self._counters.add("alerting_failed_evaluations")
                continue
            room -= await self._evaluate(draft, judged, watch, answers, now_s, room)
        return judged

    async def _evaluate(
        self, draft: Draft, judged: _Judged, watch: Watch, answers: Answers, now_s: float, room: int
    ) -> int:
        """Evaluate a rule; return how many alerts it opened."""
        rule_id = watch.rule.rule_id
        known = draft.alerts.get(rule_id, {})
        last_s = self._evaluated_s.get(rule_id, self._resumed_s)
        was_frozen = rule_id in self._frozen

        def work() -> None:
            seen = observe(watch, answers, now_s)
            found = evaluate(watch, known, seen, now_s, last_s, self._settings, room, was_frozen=was_frozen)
            draft.take(rule_id, found)
            judged.groups += found.groups
            judged.left_out += found.left_out
            judged.done.add(rule_id)

        try:
            if any(_size(answers[question]) > _INLINE_GROUPS for question in watch.questions):
                await asyncio.to_thread(work)
            else:
                work()
        except Exception as error:  # a mistake of ours in one rule must not silence all others
            log.exception("alert rule not evaluated", rule_id=rule_id)
            judged.failures[rule_id] = f"evaluation failed: {type(error).__name__}"
            self._counters.add("alerting_failed_evaluations")
        return len(draft.alerts.get(rule_id, ())) - len(known)

    async def _announce(self, draft: Draft, watches: Mapping[str, Watch], now_s: float) -> None:
        told: list[tuple[Announcement, Watch | None]] = []
        channels = self._channels
        gone = {rule_id: watch for rule_id, watch in self._gone.items() if watch is not None}
        draft.settle(channels, {rule_id: watch.rule.channels for rule_id, watch in (gone | dict(watches)).items()})
        silences = [one for one in await self._silences.silences() if one.is_active(now_s)]
        acked = await self._acked(draft)
        for rule_id in sorted(draft.changed_rules):
            watch, alerts = watches[rule_id], draft.alerts[rule_id]
            if not alerts:
                continue
            silenced = _silenced(silences, watch.rule, alerts.values(), now_s)
            found = announcements_of(watch.rule, alerts, now_s, self._settings, silenced, acked)
            found += late_announcements_of(watch.rule, alerts, now_s, self._settings, channels, silenced, acked)
            told += [(announcement, watch) for announcement in found]
        for rule_id, closing in by_rule(draft.closing.values(), {}).items():
            was = self._gone.get(rule_id)
            found = announcements_of(was.rule if was else None, closing, now_s, self._settings)
            told += [(announcement, was) for announcement in found]
        parts: list[_Part] = []
        for announcement, of_rule in told:
            rule = of_rule.rule if of_rule is not None else None
            hearing = hearing_of(announcement, rule, channels)
            parts += self._parts(announcement, of_rule, hearing, now_s)
            draft.announce(announcement, hearing, now_s, rule.labels if rule is not None else ())
        evidence = await self._find_evidence(parts)
        draft.outbox += [_row_of(channel, with_evidence(part, evidence)) for channel, part, _ in parts]

    async def _acked(self, draft: Draft) -> dict[str, Severity]:
        states = {
            alert.alert_id: alert.state
            for of_rule in draft.alerts.values()
            for alert in of_rule.values()
            if alert.state.severity is not None
        }
        return severities_of(acks_of(await self._store.documents.acks()), states) if states else {}

    def _parts(
        self, announcement: Announcement, watch: Watch | None, hearing: Mapping[str, Sequence[Spoken]], now_s: float
    ) -> list[_Part]:
        """Return what goes to which channel: of all alerts those that are for it, and of these the first."""
        if not hearing:
            return []
        notification, parts = notification_of(announcement, watch, now_s, self._settings), []
        for channel, spoken in hearing.items():
            for_it = {alert.alert_id for alert, _ in spoken}
            part = notification.with_only([item for item in notification.items if item.alert_id in for_it])
            parts.append((channel, shortened(part, self._settings.max_items), watch))
        return parts

    async def _find_evidence(self, parts: Sequence[_Part]) -> dict[str, Evidence | None]:
        """Ask for the evidence of some alerts of each part, of all at once: a storm must not take longer.

        It is of when the number in the news was measured; of what does not fire any more, of when it began.
        """
        shown = [
            (item, watch)
            for _, part, watch in parts
            if watch is not None
            for item in part.items[:_SHOWN_EVIDENCE]  # the gravest come first
        ]
        asked = {
            item.alert_id: (watch, item.labels, item.measured_s if item.state == Told.FIRING else item.started_s)
            for item, watch in sorted(shown, key=lambda one: one[0].state != Told.FIRING)
        }
        chosen = list(asked)[:_MOST_EVIDENCE]
        found = await asyncio.gather(*(self._evidence.find(*asked[alert_id]) for alert_id in chosen))
        return dict(zip(chosen, found, strict=True))

    def _adopt(self, draft: Draft, watches: Mapping[str, Watch], judged: _Judged, report: Report, now_s: float) -> None:
        """Let what was written be what is so."""
        self._alerts, self._closing = draft.alerts, draft.closing
        self._watches = dict(watches)
        self._tried_s |= dict.fromkeys(judged.done | judged.failures.keys() | judged.frozen, now_s)
        self._evaluated_s |= dict.fromkeys(judged.done, now_s)
        for gone in self._tried_s.keys() - watches.keys():
            del self._tried_s[gone]
            self._evaluated_s.pop(gone, None)
        self._frozen = (self._frozen | judged.frozen) - judged.done
        closing = {alert.rule_id for alert in draft.closing.values()}
        self._gone = {rule_id: watch for rule_id, watch in self._gone.items() if rule_id in closing}
        self.report = report
        self.phases = draft.phases
        self._is_loaded = True
        self._counters.add("alerting_evaluations", judged.groups)
        self._counters.add("alerting_transitions", len(draft.transitions))
        self._counters.add("alerting_notifications", len(draft.outbox))

    def _now_s(self) -> float:
        return self._now_ns() / _NS_PER_S


class _Judged:
    """What became of the rules that were due."""

    def __init__(self) -> None:
        self.done: set[str] = set()
        self.frozen: set[str] = set()
        self.failures: dict[str, str] = {}
        self.groups = 0
        self.left_out = 0


def _row_of(channel: str, part: Notification) -> OutboxRow:
    created_ms = round(part.created_s * _MS_PER_S)
    document = part.model_dump_json()
    return OutboxRow(part.notification_id, channel, created_ms, created_ms, 0, "waiting", "", 0, document)


def _carries_on(before: Watch | None, watch: Watch | None, alert: Alert) -> bool:
    """Tell whether the rule as it is now goes on with an alert that it had as it was before."""
    return watch is not None and (before is None or before.is_of_same_thing(watch)) and watch.is_about(alert.labels)


def _silenced(silences: Sequence[Silence], rule: Rule, alerts: Collection[Alert], now_s: float) -> set[str]:
    if not silences:
        return set()
    scope = rule.exact_scope
    return {
        alert.alert_id
        for alert in alerts
        if alert.state.phase in OPEN
        and silenced_by(silences, now_s, alert.rule_id, {**scope, **alert.labels}, alert.state.severity) is not None
    }


def _size(answer: object) -> int:
    return len(answer) if hasattr(answer, "__len__") else len(getattr(answer, "items", ()))
