"""What people must be told: the difference between what an alert is and what they were told of it last.

Pure. Because it is a difference, a restart repeats nothing, a silence forgets nothing, and what came and went between
two notifications is no news. At most two notifications leave for a group in each `group_interval_s`: what is news waits
that long, unless it is worse than all that the group was told.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from alerting.notification import Severity, Told
from alerting.settings import AlertingSettings
from alerting.states import AlertState, Phase

_RANK: Final = {None: 0, Severity.WARNING: 1, Severity.CRITICAL: 2}


def rank(severity: Severity | None) -> int:
    """Return a number by which severities compare."""
    return _RANK[severity]


class News(NamedTuple):
    """What is to be told of an alert."""

    told: Told
    severity: Severity
    is_repeat: bool = False
    is_late: bool = False
    """For channels that did not hear it when it was told."""


def news_of(
    state: AlertState, now_s: float, repeat_s: float, *, is_silenced: bool = False, acked: Severity | None = None
) -> News | None:
    """Return what is to be told, `None` if nothing is.

    A silence keeps quiet about what is bad; that something which was told is over is told all the same, so that no
    pager waits for ever. `acked` is the severity that somebody took note of: only worse is news, and nothing repeats.
    """
    severity = state.severity
    if state.phase == Phase.FIRING and severity is not None:
        if is_silenced or rank(acked) >= rank(severity):
            return None
        if state.told != Told.FIRING or rank(severity) > rank(state.told_severity):
            return News(Told.FIRING, severity)
        is_old = acked is None and now_s - state.told_s >= repeat_s
        return News(Told.FIRING, severity, is_repeat=True) if is_old else None
    if state.phase == Phase.NO_DATA and severity is not None:
        return None if is_silenced or state.told == Told.NO_DATA else News(Told.NO_DATA, severity)
    if state.told is not None:
        return News(Told.RESOLVED, state.worst or state.told_severity or Severity.WARNING)
    return None


def late_news_of(state: AlertState, *, is_silenced: bool = False, acked: Severity | None = None) -> News | None:
    """Return what is told to who did not hear it with the others; `None` if it is news, which all will hear, or over.

    As to the others, nothing is told of what is silenced or somebody took note of.
    """
    severity = state.severity
    if severity is None or is_silenced or rank(acked) >= rank(severity):
        return None
    if state.phase == Phase.FIRING and state.told == Told.FIRING and rank(severity) <= rank(state.told_severity):
        return News(Told.FIRING, severity, is_late=True)
    if state.phase == Phase.NO_DATA and state.told == Told.NO_DATA:
        return News(Told.NO_DATA, severity, is_late=True)
    return None


def may_tell(group: Iterable[AlertState], news: Sequence[News], now_s: float, group_interval_s: float) -> bool:
    """Tell whether news of a group may leave now. `group` are all of its alerts that are known."""
    group = list(group)
    last_s = max((state.told_s for state in group), default=0.0)
    known = max((rank(state.told_severity) for state in group if state.told is not None), default=0)
    return is_due(last_s, known, news, now_s, group_interval_s)


def is_due(last_s: float, known: int, news: Iterable[News], now_s: float, group_interval_s: float) -> bool:
    """Tell whether news may leave after what was told at `last_s`, or as they are graver than the rank `known`."""
    if now_s - last_s >= group_interval_s or now_s < last_s:
        return True
    return any(one.told == Told.FIRING and rank(one.severity) > known for one in news)


def having_told(state: AlertState, news: News, now_s: float) -> AlertState:
    """Return the state after its news left; what some hear late changes nothing for who heard it in time."""
    if news.is_late:
        return replace(state, told_count=state.told_count + 1)
    is_over = news.told == Told.RESOLVED
    # Of what was told as critical and is a warning by now, critical again is no news.
    worst = news.severity if rank(news.severity) > rank(state.told_severity) else state.told_severity
    return replace(
        state,
        told=None if is_over else news.told,
        told_severity=None if is_over else worst,
        told_s=now_s,
        told_count=state.told_count + 1,
    )


def is_forgettable(state: AlertState, now_s: float, settings: AlertingSettings) -> bool:
    """Tell whether an alert is over, told, and so long past that nothing depends on it any more."""
    if state.phase not in (Phase.INACTIVE, Phase.RESOLVED) or state.told is not None:
        return False
    calm_s = max(settings.flapping_window_s, settings.group_interval_s)
    return all(now_s - last_s >= calm_s for last_s in (*state.changes, state.told_s))
