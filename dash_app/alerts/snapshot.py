"""Everything that the page of alerts shows at one moment, asked of the desk together.

Between `answer.py`, which wants it, and the pure modules, which draw it. Only what the open tab shows is asked for.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field, replace
from typing import Final

from alerting.channels.desk import ChannelDesk, ChannelState
from alerting.desk import AlertDesk, Delivery, HistoryKey, OpenAlert, Past
from alerting.notification import Evidence
from alerting.report import Report
from alerting.rulebook import KnownRule
from alerting.silences import Silence
from dash_app.alerts.filtering import may_be_of
from dash_app.shell.filters import EVERYTHING
from query import SeriesFilter

HISTORY_LENGTH: Final = 60
_PAST_LENGTH: Final = 12
_DELIVERIES: Final = 30
_FILTERED_AT_ONCE: Final = 500
_MOST_LOOKS: Final = 4
"""Of a filter that lets little through so many times as many are looked at; the link to earlier ones goes on there."""
_KEY: Final = re.compile(r"(\d{1,15})\.([0-9a-f]{24})\.(\d{1,9})")


@dataclass(frozen=True, slots=True)
class AlertsView:
    """What the address asks for: a tab, a filter, the chosen alert and rule, and the part of the history."""

    tab: str = "firing"
    where: SeriesFilter = EVERYTHING
    alert_id: str = ""
    rule_id: str = ""
    of_rule: str = ""
    before: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The answers behind one picture of the page. What the tab does not show is empty."""

    view: AlertsView
    now_s: float
    report: Report
    open_alerts: list[OpenAlert]
    rules: list[KnownRule]
    silences: list[Silence] = field(default_factory=list)
    history: list[Past] = field(default_factory=list)
    """One more than is shown, if there is more."""
    looked_at: HistoryKey | None = None
    """The last that was looked at, if there may be more that pass the filter, and not enough was found."""
    channels: list[ChannelState] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    past: list[Past] = field(default_factory=list)
    """The latest transitions of the chosen alert."""
    evidence: Evidence | None = None
    """What was measured when the chosen alert began to fire; now, while it is pending."""

    @property
    def chosen(self) -> OpenAlert | None:
        """The alert that the address names, if it is open."""
        return next((one for one in self.open_alerts if one.alert.alert_id == self.view.alert_id), None)

    def rule_name(self, rule_id: str) -> str:
        """The name of a rule for people; of one that is gone, its id."""
        return next((one.rule.name for one in self.rules if one.rule.rule_id == rule_id), rule_id)


async def take_snapshot(desk: AlertDesk, channels: ChannelDesk | None, view: AlertsView, now_s: float) -> Snapshot:
    """Ask all that the view shows. Raises `StorageUnavailableError`."""
    report, open_alerts, rules = await asyncio.gather(desk.report(), desk.open_alerts(), desk.rules.rules())
    found = Snapshot(view, now_s, report, open_alerts, rules)
    match view.tab:
        case "history":
            rows, looked_at = await _history(desk, view)
            return replace(found, history=rows, looked_at=looked_at)
        case "silences":
            return replace(found, silences=await desk.silences.silences())
        case "channels":
            latest = await desk.deliveries(_DELIVERIES if view.where == EVERYTHING else _FILTERED_AT_ONCE)
            deliveries = [one for one in latest if may_be_of(view.where, one.notification.group_labels)][:_DELIVERIES]
            return replace(found, channels=await channels.channels() if channels else [], deliveries=deliveries)
        case "firing" if view.alert_id:
            past = await desk.history(_PAST_LENGTH, alert_id=view.alert_id)
            chosen = found.chosen
            return replace(found, past=past, evidence=await desk.evidence(chosen) if chosen else None)
    return found


async def _history(desk: AlertDesk, view: AlertsView) -> tuple[list[Past], HistoryKey | None]:
    """Return what passes the filter, and the place up to which was looked if that is not where the history begins."""
    found: list[Past] = []
    before, rule_id = _key(view.before), view.of_rule or None
    wanted, at_once = HISTORY_LENGTH + 1, HISTORY_LENGTH + 1 if view.where == EVERYTHING else _FILTERED_AT_ONCE
    for _ in range(_MOST_LOOKS):
        rows = await desk.history(at_once, before=before, rule_id=rule_id)
        found += [past for past in rows if may_be_of(view.where, past.labels)]
        if len(found) >= wanted or len(rows) < at_once:
            return found[:wanted], None
        before = rows[-1].key
    return found, before


def _key(text: str) -> HistoryKey | None:
    match = _KEY.fullmatch(text)
    return (int(match[1]), match[2], int(match[3])) if match else None


def key_text(key: HistoryKey) -> str:
    """Return the place of a transition as a field of the address."""
    return ".".join(map(str, key))
