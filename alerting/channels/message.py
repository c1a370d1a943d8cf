"""Messages for people, made of notifications: a title and a few lines, as plain text and as Markdown.

Pure; bounded in length, with everything from spans, rules and people made harmless (`escaping.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple

from alerting.channels.escaping import MARKDOWN, PLAIN, Dialect, one_line, plain
from alerting.notification import AlertItem, Contributor, Evidence, Notification, Severity, Told
from query.health import duration_text

Kind = Literal["failure", "warning", "success", "info"]

MAX_CHARS: Final = 1_800
"""Discord refuses more than 2000."""
_TITLE_CHARS: Final = 200
_LABELS_SHOWN: Final = 8
_LONG_SHOWN: Final = 3
_SHORT_SHOWN: Final = 50
_REST_CHARS: Final = 200
"""For the line that counts what is not named."""
_URL: Final = re.compile(r"https?://[A-Za-z0-9._~:/?#$&+,;=%-]{1,600}")
_RANK: Final = {severity: rank for rank, severity in enumerate(Severity)}
_GRAVITY: Final = {Told.FIRING: 2, Told.NO_DATA: 1, Told.RESOLVED: 0}
_WORDS: Final = {Told.FIRING: "firing", Told.NO_DATA: "without data", Told.RESOLVED: "resolved"}


class Message(NamedTuple):
    """What is told. `key` ties the end of an incident to its beginning; empty where none is opened."""

    key: str
    kind: Kind
    title: str
    text: str
    markdown: str


def message_of(notifications: Sequence[Notification]) -> Message:
    """Return one message of all of them."""
    told = [(notification, item) for notification in notifications for item in notification.items]
    state = max([item.state for _, item in told], key=_GRAVITY.__getitem__)
    severity = max([item.severity for _, item in told if item.state == state], key=_RANK.__getitem__)
    is_test = any(notification.is_test for notification in notifications)
    return Message(
        key="",
        kind="info" if is_test else _kind(state, severity),
        title=one_line(_title(notifications, told, state, severity), _TITLE_CHARS),
        text=_body(notifications, told, PLAIN),
        markdown=_body(notifications, told, MARKDOWN),
    )


def incidents_of(notifications: Sequence[Notification]) -> list[Message]:
    """Return one message for each alert, under its own key, for pagers: they close what they opened by it."""
    messages = []
    for notification in notifications:
        for item in notification.items:
            one = notification.model_copy(
                update={"items": (item,), "left_out": 0, "state": item.state, "severity": item.severity}
            )
            message = message_of([one])._replace(key=f"modelwatch-{item.alert_id}")
            # What a test opens, it closes.
            messages += [message, message._replace(kind="success")] if notification.is_test else [message]
    return messages


def _kind(state: Told, severity: Severity) -> Kind:
    if state == Told.RESOLVED:
        return "success"
    return "failure" if severity == Severity.CRITICAL else "warning"


def _title(
    notifications: Sequence[Notification],
    told: Sequence[tuple[Notification, AlertItem]],
    state: Told,
    severity: Severity,
) -> str:
    first = notifications[0]
    if first.is_test:
        return "[TEST] ModelWatch can reach this channel"
    mark = {Told.RESOLVED: "RESOLVED", Told.NO_DATA: "NO DATA"}.get(state, severity.value.upper())
    left_out = sum(notification.left_out for notification in notifications)
    if len(told) + left_out == 1:
        item = told[0][1]
        again = "still firing, " if item.is_repeat else ""
        return f"[{mark}] {again}{plain(first.rule_name)}: {_about(item)}"
    counts = [f"{count} {_WORDS[one]}" for one in Told if (count := len([1 for _, item in told if item.state == one]))]
    more = f", {left_out} more" if left_out else ""
    what = plain(first.rule_name) if len({notification.rule_id for notification in notifications}) == 1 else "alerts"
    return f"[{mark}] {what}: {', '.join(counts)}{more}"


def _about(item: AlertItem) -> str:
    return ", ".join([plain(value) for value in item.labels.values() if value][:3]) or "everything"


def _body(
    notifications: Sequence[Notification], told: Sequence[tuple[Notification, AlertItem]], dialect: Dialect
) -> str:
    left_out = sum(notification.left_out for notification in notifications)
    lines = _whole(*told[0], dialect) if len(told) == 1 else []
    shown = len(lines) and 1
    if len(told) > 1:
        blocks = _blocks(told, dialect)
        for block in blocks:
            if sum(map(len, lines)) + sum(map(len, block)) > MAX_CHARS - _REST_CHARS:
                break
            lines += block
            shown += 1
    hidden = len(told) - shown + left_out
    if hidden:
        link = _link(told[0][1].links.alerts)
        lines.append(f"and {hidden} more{f': {link}' if link else ''}")
    return _fitting(lines)


def _blocks(told: Sequence[tuple[Notification, AlertItem]], dialect: Dialect) -> list[list[str]]:
    """Return what is said of each alert: everything if they are few and there is room, else the number and a link."""
    long = [_long(notification, item, dialect) for notification, item in told[:_LONG_SHOWN]]
    chars = sum([len(line) + 1 for block in long for line in block])
    if len(told) <= _LONG_SHOWN and chars <= MAX_CHARS - _REST_CHARS:
        return long
    return [_short(notification, item, dialect) for notification, item in told[:_SHORT_SHOWN]]


def _fitting(lines: Iterable[str]) -> str:
    """Join whole lines, as a line that is cut may lose what closes a span."""
    kept: list[str] = []
    used = 0
    for line in lines:
        used += len(line) + 1
        if used > MAX_CHARS:
            break
        kept.append(line)
    return "\n".join(kept)


def _whole(notification: Notification, item: AlertItem, dialect: Dialect) -> list[str]:
    lines = [dialect.strong(dialect.prose(item.summary)), _labels(item, dialect), _timing(notification, item, dialect)]
    page, runbook = _link(item.links.page), _link(notification.runbook_url)
    lines += [page] if page else []
    lines += [f"Runbook: {runbook}"] if runbook else []
    if item.evidence is not None:
        lines += _evidence(item.evidence, notification.created_s, dialect)
    if notification.description:
        lines.append(dialect.prose(notification.description))
    return [line for line in lines if line]


def _long(notification: Notification, item: AlertItem, dialect: Dialect) -> list[str]:
    return [_head(notification, item, dialect), *[f"  {line}" for line in _whole(notification, item, dialect)]]


def _short(notification: Notification, item: AlertItem, dialect: Dialect) -> list[str]:
    link = _link(item.links.page)
    head = _head(notification, item, dialect)
    return [head, f"  {dialect.prose(item.summary)}"] + ([f"  {link}"] if link else [])


def _head(notification: Notification, item: AlertItem, dialect: Dialect) -> str:
    word = _WORDS[item.state] if item.state != Told.FIRING else item.severity.value
    return f"{word.upper()} {dialect.prose(notification.rule_name)}: {_labels(item, dialect) or 'everything'}"


def _labels(item: AlertItem, dialect: Dialect) -> str:
    pairs = [(name, value) for name, value in item.labels.items() if value][:_LABELS_SHOWN]
    return ", ".join([f"{dialect.prose(name)} {dialect.name(value)}" for name, value in pairs])


def _timing(notification: Notification, item: AlertItem, dialect: Dialect) -> str:
    reason = f"; {dialect.prose(item.reason)}" if item.reason else ""
    if item.state == Told.RESOLVED and item.ended_s is not None:
        lasted = _duration(item.ended_s - item.started_s)
        return f"Began {_time(item.started_s)}, over {_time(item.ended_s)}, after {lasted}{reason}"
    return f"Since {_time(item.started_s)}, for {_duration(notification.created_s - item.started_s)}{reason}"


def _evidence(evidence: Evidence, told_s: float, dialect: Dialect) -> list[str]:
    is_older = evidence.at_s and told_s - evidence.at_s >= 1
    lines = [f"At {_time(evidence.at_s)}:"] if is_older else []
    if evidence.contributors:
        lines.append("Most of it: " + "; ".join([_contributor(one, dialect) for one in evidence.contributors]))
    figures = []
    if evidence.calls is not None:
        figures.append(f"{evidence.calls} calls in {_duration(evidence.window_s)}")
        figures.append(f"{evidence.errors or 0} errors")
        figures += [f"{evidence.client_errors} client errors"] if evidence.client_errors else []
    for name, value in (("P50", evidence.p50_s), ("P95", evidence.p95_s), ("P99", evidence.p99_s)):
        figures += [f"{name} {duration_text(value)}"] if value else []
    lines += [", ".join(figures)] if figures else []
    load = []
    if evidence.cpu_cores is not None or evidence.cpu_share is not None:
        load.append("CPU " + _of_limit(evidence.cpu_cores, evidence.cpu_share, "{:.3g} cores".format))
    if evidence.memory_bytes is not None or evidence.memory_share is not None:
        load.append("memory " + _of_limit(evidence.memory_bytes, evidence.memory_share, _bytes))
    return lines + ([", ".join(load)] if load else [])


def _contributor(one: Contributor, dialect: Dialect) -> str:
    p95 = f", P95 {duration_text(one.p95_s)}" if one.p95_s else ""
    errors = f", {one.errors} errors" if one.errors else ""
    return f"{one.dimension} {dialect.name(one.name)} ({100 * one.share:.0f} %, {one.calls} calls{errors}{p95})"


def _of_limit(amount: float | None, share: float | None, written: Callable[[float], str]) -> str:
    if amount is None:
        return f"{100 * (share or 0):.0f} % of the limit"
    return written(amount) + (f" ({100 * share:.0f} % of the limit)" if share is not None else "")


def _bytes(amount: float) -> str:
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if amount >= size:
            return f"{amount / size:.3g} {unit}"
    return f"{amount:.0f} B"


def _time(second: float) -> str:
    try:
        return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return "an unknown time"


def _duration(seconds: float) -> str:
    return duration_text(max(round(seconds), 0))


def _link(url: str) -> str:
    """Return the address if it is one that may be followed, and of nothing but the characters of addresses."""
    return url if _URL.fullmatch(url) else ""
