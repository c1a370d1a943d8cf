"""Making notifications of news: which alerts are told together, when, and in which words.

Between `telling.py`, which says what is news, and the outbox.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, NamedTuple
from urllib.parse import urlencode

from alerting.alerts import Alert
from alerting.notification import AlertItem, Evidence, Links, Notification, Severity, Told
from alerting.observing import Group, Watch
from alerting.rules import Rule
from alerting.settings import AlertingSettings
from alerting.states import AlertState, Phase
from alerting.telling import News, may_tell, news_of, rank
from alerting.wording import summary_of, value_text

Spoken = tuple[Alert, News]

_GRAVITY: Final = {Told.FIRING: 2, Told.NO_DATA: 1, Told.RESOLVED: 0}


class Announcement(NamedTuple):
    """News of one rule and one group of its alerts, the worst first, that may leave now."""

    rule_id: str
    labels: Mapping[str, str]
    news: Sequence[Spoken]
    only: str = ""
    """The channel that it is for, if it is for one alone."""


def announcements_of(
    rule: Rule | None,
    alerts: Mapping[Group, Alert],
    now_s: float,
    settings: AlertingSettings,
    silenced: Collection[str] = (),
    acked: Mapping[str, Severity] | None = None,
) -> list[Announcement]:
    """Return what is to be told of a rule's alerts; `silenced` and `acked` go by the id of the alert.

    Of a rule that nobody knows any more, all alerts are told together.
    """
    repeat_s = settings.repeat_interval_s
    if rule is not None and rule.repeat_interval_s is not None:
        repeat_s = rule.repeat_interval_s
    found = []
    for key, members in grouped(rule, alerts).items():
        news = _news(members, now_s, repeat_s, silenced, acked or {})
        states = [alert.state for alert in members]
        if news and may_tell(states, [one for _, one in news], now_s, settings.group_interval_s):
            found.append(Announcement(members[0].rule_id, labels_of(rule, key), sorted(news, key=order)))
    return found


def grouped(rule: Rule | None, alerts: Mapping[Group, Alert]) -> Mapping[Group, list[Alert]]:
    """Return the alerts that are told together, by the values of what they have in common."""
    groups: defaultdict[Group, list[Alert]] = defaultdict(list)
    names = rule.notify_labels if rule is not None else ()
    for alert in alerts.values():
        groups[tuple([alert.labels.get(name, "") for name in names])].append(alert)
    return groups


def labels_of(rule: Rule | None, key: Group) -> Mapping[str, str]:
    """Return what the alerts of a group have in common."""
    names = rule.notify_labels if rule is not None else ()
    return {name: value for name, value in zip(names, key, strict=True) if value}


def _news(
    members: Iterable[Alert],
    now_s: float,
    repeat_s: float,
    silenced: Collection[str],
    acked: Mapping[str, Severity],
) -> list[Spoken]:
    found = []
    for alert in members:
        news = news_of(
            alert.state,
            now_s,
            repeat_s,
            is_silenced=alert.alert_id in silenced,
            acked=acked.get(alert.alert_id),
        )
        if news is not None:
            found.append((alert, news))
    return found


def order(spoken: Spoken) -> tuple[int, int, str]:
    """Return a key by which the worst comes first."""
    alert, news = spoken
    return -_GRAVITY[news.told], -rank(news.severity), alert.alert_id


def notification_of(
    announcement: Announcement,
    watch: Watch | None,
    now_s: float,
    settings: AlertingSettings,
) -> Notification:
    """Return the notification with all of its alerts, without evidence; each channel gets its part."""
    rule = watch.rule if watch is not None else None
    news = announcement.news
    return Notification(
        notification_id=_id_of(announcement),
        created_s=now_s,
        rule_id=announcement.rule_id,
        rule_name=rule.name if rule else announcement.rule_id,
        description=rule.description if rule else "",
        runbook_url=rule.runbook_url if rule else "",
        signal=rule.signal.value if rule else "",
        unit=rule.unit if rule else "",
        comparison=rule.comparison if rule else "above",
        group_labels=announcement.labels,
        scope_labels=rule.exact_scope if rule else {},
        state=max((one.told for _, one in news), key=_GRAVITY.__getitem__),
        severity=max((one.severity for _, one in news), key=rank),
        items=tuple([_item(alert, one, watch, settings, now_s) for alert, one in news]),
    )


def shortened(notification: Notification, max_items: int) -> Notification:
    """Return the notification with no more alerts than that, and how many are left out."""
    left_out = len(notification.items) - max_items
    if left_out <= 0:
        return notification
    return notification.model_copy(update={"items": notification.items[:max_items], "left_out": left_out})


def with_evidence(notification: Notification, evidence: Mapping[str, Evidence | None]) -> Notification:
    """Return the notification with what was found; `evidence` goes by the id of the alert."""
    items = [item.model_copy(update={"evidence": evidence.get(item.alert_id)}) for item in notification.items]
    return notification.model_copy(update={"items": tuple(items)})


class _Measured(NamedTuple):
    """What an item tells of: the value, what was compared, and when that was."""

    value: float | None
    compared: float | None
    at_s: float


def _measured(state: AlertState, news: News, now_s: float) -> _Measured:
    """Return what was measured when the alert began to fire, for news of that; it may have been held back since."""
    if news.told == Told.FIRING and not news.is_repeat and state.onset_s:
        return _Measured(state.onset_value, state.onset_compared, state.onset_s)
    return _Measured(state.value, state.compared, now_s)


def _item(alert: Alert, news: News, watch: Watch | None, settings: AlertingSettings, now_s: float) -> AlertItem:
    state, measured = alert.state, _measured(alert.state, news, now_s)
    threshold = watch.conditions.threshold(news.severity) if watch is not None else None
    if threshold is None and watch is not None:
        threshold = watch.conditions.threshold(
            Severity.WARNING if news.severity != Severity.WARNING else Severity.CRITICAL
        )
    if watch is None:
        summary = state.reason
    elif news.told == Told.FIRING:
        summary = summary_of(watch.rule, measured.value, measured.compared, threshold)
        if news.is_repeat and state.onset_s:
            summary += f"; {value_text(state.onset_value, watch.rule.unit)} when it began"
        elif measured.at_s != now_s and measured.value != state.value:
            summary += f"; {value_text(state.value, watch.rule.unit)} now"
    else:
        summary = f"{summary_of(watch.rule, state.value, state.compared, None)}: {state.reason}"
    return AlertItem(
        alert_id=alert.alert_id,
        state=news.told,
        severity=news.severity,
        labels=dict(alert.labels),
        summary=summary,
        value=measured.value,
        compared=measured.compared,
        threshold=threshold if threshold is not None else 0.0,
        measured_s=measured.at_s,
        value_now=state.value,
        started_s=state.started_s,
        ended_s=state.ended_s if news.told == Told.RESOLVED else None,
        reason="still firing" if news.is_repeat else state.reason,
        is_repeat=news.is_repeat,
        is_flapping=state.is_flapping,
        links=links_of(alert, settings),
    )


def links_of(alert: Alert, settings: AlertingSettings) -> Links:
    """Return the addresses of the service at the time of the alert, and of the alert."""
    base, state = settings.page_url.rstrip("/"), alert.state
    began_s = state.since_s if state.phase == Phase.PENDING else state.started_s
    fields = {
        "range": "1h",
        "env": alert.labels.get("environment"),
        "service": alert.labels.get("service"),
        "at": str(round(began_s)),
    }
    search = urlencode({name: value for name, value in fields.items() if value})
    return Links(page=f"{base}/?{search}", alerts=f"{base}/alerts?alert={alert.alert_id}")


def _id_of(announcement: Announcement) -> str:
    # With its beginning, as an alert that was forgotten and comes again counts from nothing.
    told = sorted(
        f"{alert.alert_id}:{alert.state.started_s}:{alert.state.told_count}:{news.told.value}"
        for alert, news in announcement.news
    )
    text = "\n".join([announcement.rule_id, *told])
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
