"""The state of one alert and how it moves: a pure function of state, observation and time.

Two sides, one for each threshold, each on or off: a side turns on when the value was beyond its threshold for `for_s`
without a break, and off when it was not for `keep_firing_for_s`. The alert fires with the gravest side that is on. The
evaluator feeds it, the backtest replays it, and both mean the same. Times are Unix seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, NamedTuple

from alerting.notification import Severity, Told
from alerting.rules import Rule
from alerting.settings import AlertingSettings


class Phase(StrEnum):
    """Where an alert is. Resolved is inactive with a past that may still have to be told."""

    INACTIVE = "inactive"
    PENDING = "pending"
    FIRING = "firing"
    NO_DATA = "no_data"
    RESOLVED = "resolved"


OPEN: Final = frozenset({Phase.PENDING, Phase.FIRING, Phase.NO_DATA})


class Observation(NamedTuple):
    """What was found of a group. `compared` is what is held against the thresholds; `None` is nothing to judge by.

    `note` says why there is nothing, if there is anything to say.
    """

    value: float | None
    compared: float | None
    note: str = ""


NOTHING: Final = Observation(None, None, "no data")


@dataclass(frozen=True, slots=True)
class Side:
    """One threshold: on or off, and since when the value has been where it would turn."""

    is_on: bool = False
    since_s: float | None = None


OFF: Final = Side()


class Heard(NamedTuple):
    """A channel that heard of an alert: as how grave at the worst, and when last."""

    channel: str
    severity: Severity
    at_s: float


@dataclass(frozen=True, slots=True)
class AlertState:
    """All that is known of an alert; what a restart must not lose."""

    first_seen_s: float
    phase: Phase = Phase.INACTIVE
    since_s: float = 0.0
    """When the phase began."""
    warning: Side = OFF
    critical: Side = OFF
    silent_since_s: float | None = None
    """Since when there has been nothing to judge."""
    value: float | None = None
    compared: float | None = None
    started_s: float = 0.0
    """When it began to fire, the last time that it did; 0 if it never has."""
    ended_s: float | None = None
    worst: Severity | None = None
    """The gravest that it was since then."""
    onset_s: float = 0.0
    """When it last began to fire or became graver, 0 if it never has; what was found then follows."""
    onset_value: float | None = None
    onset_compared: float | None = None
    reason: str = ""
    changes: tuple[float, ...] = ()
    """When it changed, as far as it matters for flapping."""
    is_flapping: bool = False
    sequence: int = 0
    """How many transitions there were."""
    told: Told | None = None
    """What people were told last, `None` when they need not be told anything more."""
    told_severity: Severity | None = None
    told_s: float = 0.0
    told_count: int = 0
    heard: tuple[Heard, ...] | None = None
    """Which channels heard of what was told; `None` if that was not kept yet when it was told."""

    @property
    def severity(self) -> Severity | None:
        """The gravest side that is on."""
        if self.critical.is_on:
            return Severity.CRITICAL
        return Severity.WARNING if self.warning.is_on else None


class Transition(NamedTuple):
    """A change of phase or severity."""

    at_s: float
    before: Phase
    after: Phase
    severity: Severity | None
    value: float | None
    compared: float | None
    threshold: float | None
    reason: str
    is_flapping: bool


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a rule and the settings say, in the form that each evaluation needs."""

    warning: float | None
    critical: float | None
    is_above: bool
    for_s: float
    keep_s: float
    grace_s: float
    on_no_data: str
    no_data_after_s: float
    gone_after_s: float
    flapping_changes: int
    flapping_window_s: float

    @classmethod
    def of(cls, rule: Rule, settings: AlertingSettings) -> Conditions:
        """Return the conditions of a rule."""
        return cls(
            rule.warning,
            rule.critical,
            rule.comparison == "above",
            rule.for_s,
            rule.keep_firing_for_s,
            rule.grace_s,
            rule.on_no_data,
            rule.no_data_after_s,
            max(settings.no_data_gone_s, rule.no_data_after_s),
            settings.flapping_changes,
            settings.flapping_window_s,
        )

    def is_beyond(self, value: float, threshold: float | None) -> bool:
        """Tell whether a value is bad by a threshold; equal is not."""
        if threshold is None:
            return False
        return value > threshold if self.is_above else value < threshold

    def is_bad(self, value: float | None) -> bool:
        """Tell whether a value is beyond any threshold."""
        return value is not None and (self.is_beyond(value, self.warning) or self.is_beyond(value, self.critical))

    def threshold(self, severity: Severity | None) -> float | None:
        """Return the threshold of a severity."""
        return self.critical if severity == Severity.CRITICAL else self.warning


def step(
    state: AlertState, seen: Observation, now_s: float, conditions: Conditions, due_s: float | None = None
) -> tuple[AlertState, Transition | None]:
    """Return the state after an observation, and the transition if there was one.

    How long something lasted is judged by `due_s`, when it was to be looked at, if that is not `now_s`.
    """
    due_s = now_s if due_s is None else due_s
    if due_s - state.first_seen_s < conditions.grace_s and state.phase == Phase.INACTIVE:
        return state, None
    after = _judged(state, seen, due_s, conditions) if seen.compared is not None else _silent(state, due_s, conditions)
    return _settled(state, after, seen, now_s, conditions)


def unwatched(state: AlertState, seconds: float) -> AlertState:
    """Return the state after a time that nobody looked: it counts towards nothing that must last."""
    return replace(
        state,
        warning=_later(state.warning, seconds),
        critical=_later(state.critical, seconds),
        silent_since_s=None if state.silent_since_s is None else state.silent_since_s + seconds,
    )


def put_back(state: AlertState, seconds: float) -> AlertState:
    """Return the state after the clock was put back by so many seconds: every duration is as it was."""
    moved = unwatched(state, -seconds)
    return replace(
        moved,
        first_seen_s=state.first_seen_s - seconds,
        since_s=state.since_s - seconds,
        changes=tuple(change - seconds for change in state.changes),
        told_s=state.told_s - seconds if state.told_s else 0.0,
        heard=state.heard and tuple([one._replace(at_s=one.at_s - seconds) for one in state.heard]),
    )


def _later(side: Side, seconds: float) -> Side:
    return side if side.since_s is None else Side(side.is_on, side.since_s + seconds)


def _judged(state: AlertState, seen: Observation, now_s: float, conditions: Conditions) -> AlertState:
    value = seen.compared or 0.0
    keep_s = max(conditions.keep_s, conditions.flapping_window_s) if state.is_flapping else conditions.keep_s
    return replace(
        state,
        value=seen.value,
        compared=seen.compared,
        silent_since_s=None,
        warning=_turned(
            state.warning, conditions.is_beyond(value, conditions.warning), now_s, conditions.for_s, keep_s
        ),
        critical=_turned(
            state.critical, conditions.is_beyond(value, conditions.critical), now_s, conditions.for_s, keep_s
        ),
    )


def _turned(side: Side, is_beyond: bool, now_s: float, on_after_s: float, off_after_s: float) -> Side:
    if is_beyond == side.is_on:
        return side if side.since_s is None else Side(side.is_on)
    since_s = now_s if side.since_s is None else side.since_s
    wait_s = off_after_s if side.is_on else on_after_s
    return Side(not side.is_on) if now_s - since_s >= wait_s else Side(side.is_on, since_s)


def _silent(state: AlertState, now_s: float, conditions: Conditions) -> AlertState:
    """Nothing to judge: what was about to turn on must begin anew, and what is on is off after long enough."""
    since_s = now_s if state.silent_since_s is None else state.silent_since_s
    silent_s = now_s - since_s
    after = replace(
        state,
        value=None,
        compared=None,
        silent_since_s=since_s,
        warning=state.warning if state.warning.is_on else OFF,
        critical=state.critical if state.critical.is_on else OFF,
    )
    wait_s = conditions.no_data_after_s
    if state.is_flapping:
        wait_s = max(wait_s, conditions.flapping_window_s)
    is_over = silent_s >= (wait_s if conditions.on_no_data == "resolve" else max(conditions.gone_after_s, wait_s))
    if after.severity is not None and is_over and conditions.on_no_data != "keep":
        return replace(after, warning=OFF, critical=OFF)
    if after.severity is not None and conditions.on_no_data == "tell" and silent_s >= wait_s:
        return replace(after, phase=Phase.NO_DATA)
    return after


def _settled(
    before: AlertState, after: AlertState, seen: Observation, now_s: float, conditions: Conditions
) -> tuple[AlertState, Transition | None]:
    """Name the phase that the sides amount to, and note what changed."""
    phase = _phase_of(before, after, seen, conditions)
    severity = after.severity
    if phase == before.phase and severity == before.severity:
        changes = before.changes
        if before.is_flapping:
            changes = (*_recent(changes, now_s, conditions), *([now_s] if _has_crossed(before, after) else ()))
        return replace(after, phase=phase, changes=changes, is_flapping=before.is_flapping and bool(changes)), None
    changes, is_flapping = before.changes, before.is_flapping
    if _is_change(before, phase, severity):
        changes = (*_recent(changes, now_s, conditions), now_s)
        is_flapping = len(changes) >= conditions.flapping_changes and phase in (Phase.FIRING, Phase.NO_DATA)
    begins = phase == Phase.FIRING and before.phase not in (Phase.FIRING, Phase.NO_DATA)
    reason = _reason(before, after, phase, seen, now_s, conditions, is_flapping)
    if phase == Phase.FIRING and (before.phase != Phase.FIRING or _is_graver(severity, before.severity)):
        after = replace(after, onset_s=now_s, onset_value=after.value, onset_compared=after.compared)
    ranks = [rank for rank in (None if begins else before.worst, severity) if rank is not None]
    after = replace(
        after,
        phase=phase,
        since_s=now_s if phase != before.phase else before.since_s,
        started_s=now_s if begins else before.started_s,
        ended_s=now_s if phase == Phase.RESOLVED else None if phase == Phase.FIRING else before.ended_s,
        worst=max(ranks, key=list(Severity).index, default=None),
        reason=reason,
        changes=changes,
        is_flapping=is_flapping,
        sequence=before.sequence + 1,
    )
    shown = severity or after.worst
    transition = Transition(
        now_s,
        before.phase,
        phase,
        severity,
        after.value,
        after.compared,
        conditions.threshold(shown),
        reason,
        is_flapping,
    )
    return after, transition


def _phase_of(before: AlertState, after: AlertState, seen: Observation, conditions: Conditions) -> Phase:
    was_told = before.phase in (Phase.FIRING, Phase.NO_DATA)
    if after.severity is None:
        if was_told:
            return Phase.RESOLVED
        if after.warning.since_s is not None or after.critical.since_s is not None:
            return Phase.PENDING
        return Phase.RESOLVED if before.phase == Phase.RESOLVED else Phase.INACTIVE
    if seen.compared is None:
        return after.phase if was_told else Phase.FIRING
    # Back from silence it fires only if it is still bad; if not, it is resolved when it was good for long enough.
    is_still_out = before.phase == Phase.NO_DATA and not conditions.is_bad(seen.compared)
    return Phase.NO_DATA if is_still_out else Phase.FIRING


def _has_crossed(before: AlertState, after: AlertState) -> bool:
    """Tell whether the value went to the other side of a threshold, be it not for long enough."""
    return (before.warning.since_s, before.critical.since_s) != (after.warning.since_s, after.critical.since_s)


def _is_change(before: AlertState, phase: Phase, severity: Severity | None) -> bool:
    """Tell whether people may have to hear of it."""
    told = (Phase.FIRING, Phase.NO_DATA)
    if phase not in told or before.phase not in told:
        return (phase in told) != (before.phase in told)
    return (phase, severity) != (before.phase, before.severity)


def _is_graver(severity: Severity | None, than: Severity | None) -> bool:
    return severity == Severity.CRITICAL and than != Severity.CRITICAL


def _recent(changes: tuple[float, ...], now_s: float, conditions: Conditions) -> tuple[float, ...]:
    recent = tuple(change for change in changes if now_s - change < conditions.flapping_window_s)
    return recent[-conditions.flapping_changes :]


def _reason(
    before: AlertState,
    after: AlertState,
    phase: Phase,
    seen: Observation,
    now_s: float,
    conditions: Conditions,
    is_flapping: bool,
) -> str:
    beyond, within = ("above", "not above") if conditions.is_above else ("below", "not below")
    if seen.compared is None:
        silent_s = round(now_s - (after.silent_since_s or now_s))
        words = f"{seen.note or 'no data'} for {silent_s} s" if silent_s else seen.note or "no data"
    elif phase == Phase.FIRING:
        words = f"{beyond} the threshold"
        words += f" for {conditions.for_s:g} s" if conditions.for_s and before.phase != Phase.NO_DATA else ""
    elif phase == Phase.PENDING:
        words = f"{beyond} the threshold, but not for {conditions.for_s:g} s yet"
    elif phase == Phase.RESOLVED:
        keep_s = max(conditions.keep_s, conditions.flapping_window_s) if before.is_flapping else conditions.keep_s
        words = f"{within} the threshold for {keep_s:g} s"
    else:
        words = f"{within} the threshold any more"
    if is_flapping and not before.is_flapping:
        words += f"; flapping: it is resolved after {conditions.flapping_window_s:g} s in calm"
    return words
