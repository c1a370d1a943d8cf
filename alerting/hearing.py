"""Who hears what: of news the channels that it is for, of an end those that heard of what ended, late who came late.

Pure. Between `announcing.py`, which says what is news, and the outbox. A channel that is made, changed or named by a
rule while an alert is open hears of it, once; one that never heard of an alert hears nothing of its end.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from alerting.alerts import Alert
from alerting.announcing import Announcement, Spoken, grouped, labels_of, order
from alerting.notification import Severity, Told
from alerting.notifier import Channel, Channels, Subject, named_of
from alerting.observing import Group
from alerting.rules import Rule
from alerting.settings import AlertingSettings
from alerting.states import AlertState, Heard
from alerting.telling import News, is_due, late_news_of, rank


def hearing_of(announcement: Announcement, rule: Rule | None, channels: Channels) -> dict[str, list[Spoken]]:
    """Return by channel what of an announcement is for it; without its rule it is known by nobody but who heard."""
    scope = rule.exact_scope if rule is not None else {}
    named = named_of(channels, rule.channels if rule is not None else ())
    if announcement.only:
        named = [channel for channel in named if channel.name == announcement.only]
    found: dict[str, list[Spoken]] = {}
    for alert, news in announcement.news:
        subject = _subject(alert, scope, news)
        hearers = named if news.told != Told.RESOLVED else _who_heard(alert.state, channels, named)
        for channel in hearers:
            if channel.takes(subject):
                found.setdefault(channel.name, []).append((alert, news))
    return found


def late_announcements_of(
    rule: Rule,
    alerts: Mapping[Group, Alert],
    now_s: float,
    settings: AlertingSettings,
    channels: Channels,
    silenced: Collection[str] = (),
    acked: Mapping[str, Severity] | None = None,
) -> list[Announcement]:
    """Return what was told before, and is still so, for each channel that did not hear it then.

    A channel is told that of a group at most once in each `group_interval_s`, but at once what is worse than all it
    heard of the group.
    """
    found, acked, scope = [], acked or {}, rule.exact_scope
    named = named_of(channels, rule.channels)
    for key, members in grouped(rule, alerts).items():
        open_ones = []
        for alert in members:
            is_silenced = alert.alert_id in silenced
            news = late_news_of(alert.state, is_silenced=is_silenced, acked=acked.get(alert.alert_id))
            if news is not None:
                heard = {one.channel: one.severity for one in alert.state.heard or ()}
                open_ones.append((alert, news, _subject(alert, scope, news), heard))
        for channel in named if open_ones else ():
            news_for_it = [
                (alert, news)
                for alert, news, subject, heard in open_ones
                if _is_new(news, heard.get(channel.name)) and channel.takes(subject)
            ]
            if news_for_it and _may_hear(channel, members, news_for_it, now_s, settings.group_interval_s):
                labels = labels_of(rule, key)
                found.append(Announcement(rule.rule_id, labels, sorted(news_for_it, key=order), channel.name))
    return found


def having_heard(state: AlertState, news: News, channels: Iterable[str], now_s: float) -> tuple[Heard, ...]:
    """Return who heard of an alert once these were told the news: of an end nobody has to hear any more."""
    if news.told == Told.RESOLVED:
        return ()
    # What was told before ended for everybody, if it did.
    heard = {one.channel: one for one in state.heard or ()} if state.told is not None else {}
    for name in channels:
        before = heard.get(name)
        worst = before.severity if before is not None and rank(before.severity) > rank(news.severity) else news.severity
        heard[name] = Heard(name, worst, now_s)
    return tuple(heard.values())


def settled(state: AlertState, there: Collection[str], named: Channels) -> AlertState:
    """Return the state by the names of the channels that there are now, of which the rule tells those that are `named`.

    Those that are gone heard of nothing: one of the same name that is made later may lead elsewhere. Of what was told
    before it was kept who heard, all that are named heard.
    """
    if state.told is None:
        return state
    if state.heard is None:
        severity = state.told_severity or Severity.WARNING
        return replace(state, heard=tuple([Heard(channel.name, severity, state.told_s) for channel in named]))
    if all(one.channel in there for one in state.heard):
        return state
    return replace(state, heard=tuple([one for one in state.heard if one.channel in there]))


def _subject(alert: Alert, scope: Mapping[str, str], news: News) -> Subject:
    return Subject({"rule": alert.rule_id, **scope, **alert.labels}, news.told, news.severity)


def _who_heard(state: AlertState, channels: Channels, named: Channels) -> list[Channel]:
    heard = {one.channel for one in state.heard or ()}
    asking = {channel.name for channel in named if not channel.is_for_firing}
    return [channel for channel in channels if channel.name in heard or channel.name in asking]


def _is_new(news: News, heard: Severity | None) -> bool:
    return heard is None or (news.told == Told.FIRING and rank(news.severity) > rank(heard))


def _may_hear(
    channel: Channel, members: Iterable[Alert], news: Sequence[Spoken], now_s: float, group_interval_s: float
) -> bool:
    heard = [one for alert in members for one in alert.state.heard or () if one.channel == channel.name]
    last_s = max((one.at_s for one in heard), default=0.0)
    known = max((rank(one.severity) for one in heard), default=0)
    return is_due(last_s, known, [one for _, one in news], now_s, group_interval_s)
