"""The evaluation of one rule for all its groups: which alerts changed, and how.

Pure, and the hot path of the room: a group that is well and has no past costs a comparison and no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from alerting.alerts import Alert, alert_id_of
from alerting.observing import Group, Watch
from alerting.settings import AlertingSettings
from alerting.states import (
    NOTHING,
    OFF,
    OPEN,
    AlertState,
    Observation,
    Phase,
    Transition,
    put_back,
    step,
    unwatched,
)

Alerts = Mapping[Group, Alert]
"""The alerts of a rule by the values of its labels."""

_KNOWN_FOR_S: Final = 86_400.0
_LATE_S: Final = 1.0
"""How late a round may be and count as being on time."""


@dataclass(slots=True)
class Evaluated:
    """What an evaluation came to. `alerts` are all that are worth knowing now, `dirty` those to be written."""

    alerts: dict[Group, Alert] = field(default_factory=dict)
    dirty: set[Group] = field(default_factory=set)
    transitions: list[tuple[Alert, Transition]] = field(default_factory=list)
    groups: int = 0
    left_out: int = 0
    """Groups that are bad and have no room among the open alerts."""


def evaluate(
    watch: Watch,
    known: Alerts,
    seen: Mapping[Group, Observation],
    now_s: float,
    last_s: float | None,
    settings: AlertingSettings,
    room: int,
    *,
    was_frozen: bool = False,
) -> Evaluated:
    """Move every alert of a rule on, `last_s` being when that was done before; at most `room` new ones may begin."""
    found = Evaluated(groups=len(seen))
    conditions, due_s = watch.conditions, _due_s(watch, now_s)
    for group, alert in known.items():
        state = _in_time(alert.state, due_s, last_s, watch, settings, was_frozen)
        after, transition = step(state, seen.get(group, NOTHING), now_s, conditions, due_s)
        _note(found, group, alert._replace(state=after), transition)
        if transition is not None or (after.phase in OPEN and after != alert.state):
            found.dirty.add(group)
    remembers_all = conditions.grace_s > 0
    for group, observation in seen.items():
        if group in known or not (remembers_all or conditions.is_bad(observation.compared)):
            continue
        if room <= 0 and not remembers_all:
            found.left_out += 1
            continue
        room -= 1
        labels = watch.labels_of(group)
        after, transition = step(AlertState(due_s), observation, now_s, conditions, due_s)
        alert = Alert(alert_id_of(watch.rule.rule_id, labels), watch.rule.rule_id, labels, after)
        _note(found, group, alert, transition)
        found.dirty.add(group)
    return found


def closed(alert: Alert, now_s: float, reason: str) -> tuple[Alert, Transition | None]:
    """End an alert whose rule is gone, turned off, or groups by other labels now."""
    state = alert.state
    if state.phase not in (Phase.FIRING, Phase.NO_DATA):
        return alert._replace(state=replace(state, phase=Phase.RESOLVED, warning=OFF, critical=OFF)), None
    after = replace(
        state,
        phase=Phase.RESOLVED,
        since_s=now_s,
        warning=OFF,
        critical=OFF,
        ended_s=now_s,
        reason=reason,
        sequence=state.sequence + 1,
    )
    seen = (state.value, state.compared)  # the last that was; by which threshold is not known any more
    transition = Transition(now_s, state.phase, Phase.RESOLVED, None, *seen, None, reason, False)
    return alert._replace(state=after), transition


def is_forgotten(watch: Watch, alert: Alert, now_s: float) -> bool:
    """Tell whether a rule that remembers every group it has seen may forget this one."""
    if not watch.conditions.grace_s:
        return True
    silent_since_s = alert.state.silent_since_s
    return silent_since_s is not None and now_s - silent_since_s > _KNOWN_FOR_S


def _due_s(watch: Watch, now_s: float) -> float:
    """Return when a round that begins now was due; every one wakes a little late, each by another moment.

    Durations that are told apart by whole intervals must not hang on that. One that is really late is of its own time.
    """
    due_s = now_s // watch.rule.interval_s * watch.rule.interval_s
    return due_s if now_s - due_s < min(_LATE_S, watch.rule.interval_s / 2) else now_s


def _in_time(
    state: AlertState,
    due_s: float,
    last_s: float | None,
    watch: Watch,
    settings: AlertingSettings,
    was_frozen: bool,
) -> AlertState:
    """Make up for a time that nobody looked, and for a clock that was put back."""
    if last_s is None:
        return state
    passed_s = due_s - _due_s(watch, last_s)
    if passed_s < 0:
        return put_back(state, -passed_s)
    interval_s = watch.rule.interval_s
    if passed_s > interval_s and (was_frozen or passed_s > max(settings.max_gap_s, 3 * interval_s)):
        return unwatched(state, passed_s - interval_s)
    return state


def _note(found: Evaluated, group: Group, alert: Alert, transition: Transition | None) -> None:
    found.alerts[group] = alert
    if transition is not None:
        found.transitions.append((alert, transition))


def by_rule(alerts: Iterable[Alert], labels_of: Mapping[str, tuple[str, ...]]) -> dict[str, dict[Group, Alert]]:
    """Return alerts by rule and group; those of rules that are gone or group by other labels now, by their id."""
    found: dict[str, dict[Group, Alert]] = {}
    for alert in alerts:
        names = labels_of.get(alert.rule_id)
        is_known = names is not None and set(alert.labels) <= set(names)
        group = tuple([alert.labels.get(name, "") for name in names or ()]) if is_known else (alert.alert_id,)
        found.setdefault(alert.rule_id, {})[group] = alert
    return found
