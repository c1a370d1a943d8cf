"""A round in the making: what the alerts will be, and what of it is to be written.

Filled by the evaluator; adopted by it when the transaction is through, thrown away when it is not.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from alerting.alerts import Alert, row_of, transition_row_of
from alerting.announcing import Announcement, Spoken
from alerting.evaluation import Evaluated, closed, is_forgotten
from alerting.hearing import having_heard, settled
from alerting.notifier import Channels, named_of
from alerting.observing import Group, Watch
from alerting.settings import AlertingSettings
from alerting.states import OPEN, Phase, Transition
from alerting.telling import News, having_told, is_forgettable
from storage.alert_rounds import OutboxRow, Round, StateRow

AlertsByRule = dict[str, dict[Group, Alert]]


class Draft:
    """`alerts` are those of the rules that were evaluated, `closing` those that are over and may have to be told."""

    def __init__(self, alerts: AlertsByRule, closing: Mapping[str, Alert]) -> None:
        self.alerts: AlertsByRule = dict(alerts)
        self.closing = dict(closing)
        self.transitions: list[tuple[Alert, Transition]] = []
        self.outbox: list[OutboxRow] = []
        self.changed_rules: set[str] = set()
        self._dirty: dict[str, Alert] = {}
        self._forgotten: dict[str, None] = {}

    @property
    def open_count(self) -> int:
        """How many alerts are pending, firing or without data."""
        return sum(alert.state.phase in OPEN for of_rule in self.alerts.values() for alert in of_rule.values())

    def take(self, rule_id: str, found: Evaluated) -> None:
        """Take in what the evaluation of a rule came to."""
        self.alerts[rule_id] = found.alerts
        self.changed_rules.add(rule_id)
        self.transitions += found.transitions
        for group in found.dirty:
            self._write(found.alerts[group])

    def close(self, rule_id: str, groups: Collection[Group], now_s: float, reason: str) -> None:
        """End some of the alerts of a rule."""
        left = dict(self.alerts.pop(rule_id, {}))
        for group in groups:
            after, transition = closed(left.pop(group), now_s, reason)
            if transition is not None:
                self.transitions.append((after, transition))
            self._write(after)
            self.closing[after.alert_id] = after
        if left:
            self.alerts[rule_id] = left

    def reopen(self, watches: Mapping[str, Watch]) -> None:
        """Let rules that are back carry on what people were told of their alerts, and not yet that it is over."""
        for alert in list(self.closing.values()):
            watch = watches.get(alert.rule_id)
            if watch is not None and watch.is_about(alert.labels):
                group = tuple([alert.labels.get(name, "") for name in watch.rule.labels])
                self.alerts[alert.rule_id] = {**self.alerts.get(alert.rule_id, {}), group: alert}
                del self.closing[alert.alert_id]

    def settle(self, channels: Channels, wanted: Mapping[str, Sequence[str]]) -> None:
        """Let what is kept of who heard be by the channels that there are; `wanted` are those that each rule names."""
        there = {channel.name for channel in channels}
        named = {rule_id: named_of(channels, names) for rule_id, names in wanted.items()}
        tables: list[dict[Any, Alert]] = [self.alerts[rule_id] for rule_id in self.changed_rules & self.alerts.keys()]
        for alerts in (*tables, self.closing):
            for key, alert in alerts.items():
                state = settled(alert.state, there, named.get(alert.rule_id, channels))
                if state is not alert.state:
                    alerts[key] = alert._replace(state=state)
                    self._write(alerts[key])

    def announce(
        self, announcement: Announcement, hearing: Mapping[str, Sequence[Spoken]], now_s: float, names: Sequence[str]
    ) -> None:
        """Note that all news of an announcement left, and which channels heard of which alert.

        `names` are the labels that its rule groups by.
        """
        channels = defaultdict(list)
        for channel, spoken in hearing.items():
            for alert, _ in spoken:
                channels[alert.alert_id].append(channel)
        for alert, news in announcement.news:
            self._tell(alert, news, now_s, names, channels[alert.alert_id])

    def _tell(self, alert: Alert, news: News, now_s: float, names: Sequence[str], channels: Collection[str]) -> None:
        alerts: dict[Any, Alert] = self.closing
        key: Any = alert.alert_id
        if key not in alerts:
            alerts, key = self.alerts[alert.rule_id], tuple([alert.labels.get(name, "") for name in names])
        state = alerts[key].state  # of what several channels hear late, with those that were before
        heard = having_heard(state, news, channels, now_s)
        alerts[key] = alert._replace(state=replace(having_told(state, news, now_s), heard=heard))
        self._write(alerts[key])

    def forget(self, watches: Mapping[str, Watch], now_s: float, settings: AlertingSettings) -> None:
        """Leave out what is over and told."""
        for rule_id in self.changed_rules & self.alerts.keys():
            of_rule, watch = self.alerts[rule_id], watches[rule_id]
            over = [
                group
                for group, alert in of_rule.items()
                if is_forgettable(alert.state, now_s, settings) and is_forgotten(watch, alert, now_s)
            ]
            for group in over:
                self._forget(of_rule.pop(group))
        for alert in list(self.closing.values()):
            if alert.state.told is None:
                self._forget(self.closing.pop(alert.alert_id))

    def round_of(self, document: str) -> Round:
        """Return what is to be written."""
        states: list[StateRow] = [row_of(alert) for alert in self._dirty.values()]
        transitions = [transition_row_of(alert, transition) for alert, transition in self.transitions]
        return Round(document, states, tuple(self._forgotten), transitions, self.outbox)

    @property
    def phases(self) -> Counter[Phase]:
        """How many alerts are in which phase."""
        return Counter(alert.state.phase for of_rule in self.alerts.values() for alert in of_rule.values())

    def _write(self, alert: Alert) -> None:
        self._dirty[alert.alert_id] = alert
        self._forgotten.pop(alert.alert_id, None)

    def _forget(self, alert: Alert) -> None:
        self._dirty.pop(alert.alert_id, None)
        self._forgotten[alert.alert_id] = None
