"""What every page tells of alerts: how many fire, and when they did. Asked once for all that look.

Between the desk of alerts, and the badge in the bar and the marks on charts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from alerting.desk import AlertDesk, OpenAlert, Past
from alerting.notification import Severity
from alerting.rules import Rule
from alerting.states import Phase
from dash_app.shared.recent import Recent

_KEPT_S: Final = 1.0
_MOST_KEPT: Final = 32
_MOST_CHANGES: Final = 500
_FIRES: Final = (Phase.FIRING, Phase.NO_DATA)


@dataclass(frozen=True, slots=True)
class Episode:
    """A time that an alert fired for, cut at the ends of what was asked for if it began or ended beyond them."""

    rule_id: str
    labels: Mapping[str, str]
    severity: Severity
    started_s: float
    ended_s: float


class AlertNews:
    """Everything raises `StorageUnavailableError`."""

    def __init__(self, desk: AlertDesk, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._desk = desk
        self._monotonic_s = monotonic_s
        self._open: Recent[list[OpenAlert]] = Recent(desk.open_alerts, _KEPT_S, monotonic_s)
        self._rules: Recent[dict[str, Rule]] = Recent(self._read_rules, _KEPT_S, monotonic_s)
        self._episodes: dict[tuple[int, int], Recent[list[Episode]]] = {}

    async def firing(self) -> list[OpenAlert]:
        """Return what fires or lost its data, the gravest first."""
        return [one for one in await self._open.get() if one.alert.state.phase in _FIRES]

    async def rules(self) -> Mapping[str, Rule]:
        """Return all rules by id."""
        return await self._rules.get()

    async def episodes(self, start_s: int, end_s: int) -> list[Episode]:
        """Return when alerts fired in a range; of very many the latest."""
        key = (start_s, end_s)
        if key not in self._episodes:
            while len(self._episodes) >= _MOST_KEPT:
                del self._episodes[next(iter(self._episodes))]
            self._episodes[key] = Recent(lambda: self._read_episodes(start_s, end_s), _KEPT_S, self._monotonic_s)
        return await self._episodes[key].get()

    async def _read_rules(self) -> dict[str, Rule]:
        return {one.rule.rule_id: one.rule for one in await self._desk.rules.rules()}

    async def _read_episodes(self, start_s: int, end_s: int) -> list[Episode]:
        past = await self._desk.history(_MOST_CHANGES, since_s=start_s, until_s=end_s)
        return episodes_of(past, await self._open.get(), start_s, end_s)


def episodes_of(past: Sequence[Past], open_alerts: Iterable[OpenAlert], start_s: float, end_s: float) -> list[Episode]:
    """Return when alerts fired in [start_s, end_s]: from changes in it, latest first, and what fires now.

    What began before the range is known by the change that ended it, or by firing still.
    """
    ended: dict[str, tuple[float, Severity]] = {}
    for one in open_alerts:
        state = one.alert.state
        if state.phase in _FIRES and state.severity is not None and state.started_s < end_s:
            ended[one.alert.alert_id] = (end_s, state.severity)
    found = []
    known = {one.alert.alert_id: (one.alert.rule_id, one.alert.labels) for one in open_alerts}
    for change in past:
        transition, alert_id = change.transition, change.alert_id
        known[alert_id] = (change.rule_id, change.labels)
        fired, fires = transition.before in _FIRES, transition.after in _FIRES
        if fires and not fired:
            until_s, severity = ended.pop(alert_id, (end_s, transition.severity or Severity.WARNING))
            severity = max(severity, transition.severity or severity, key=_GRAVITY.__getitem__)
            found.append(Episode(change.rule_id, change.labels, severity, transition.at_s, until_s))
        elif fires:
            until_s, severity = ended.get(alert_id, (end_s, Severity.WARNING))
            severity = max(severity, transition.severity or severity, key=_GRAVITY.__getitem__)
            ended[alert_id] = (until_s, severity)
        elif fired:
            ended[alert_id] = (transition.at_s, transition.severity or Severity.WARNING)
    for alert_id, (until_s, severity) in ended.items():
        rule_id, labels = known[alert_id]
        found.append(Episode(rule_id, labels, severity, start_s, until_s))
    return sorted(found, key=lambda one: one.started_s)


_GRAVITY: Final = {Severity.WARNING: 0, Severity.CRITICAL: 1}
