"""The other lists of the page: history, rules, silences, channels and notifications.

Pure, from a `Snapshot` to components.
"""

from __future__ import annotations

from collections import Counter

from dash import html
from dash.development.base_component import Component

from alerting.channels.desk import ChannelState
from alerting.rulebook import KnownRule
from alerting.rules import Rule, Signal
from alerting.silences import Silence
from alerting.states import Phase
from alerting.wording import name_of, value_text, window_text
from dash_app.alerts.filtering import left_out_text, may_be_about
from dash_app.alerts.snapshot import HISTORY_LENGTH, Snapshot, key_text
from dash_app.alerts.words import labels_line, length, moment, shown, state_pill, title_of
from dash_app.shared import formatting
from dash_app.shared.components import ActionButton, PageLink, csv_row
from dash_app.shared.names import visible
from dash_app.shell.filters import words_of

HISTORY_COLUMNS = ("time", "rule", "severity", "state", "value", "reason", "labels", "alert")
RULE_COLUMNS = (
    "rule",
    "name",
    "is_on",
    "signal",
    "comparison",
    "warning",
    "critical",
    "unit",
    "scope",
    "group_by",
    "firing",
)
SILENCE_COLUMNS = ("rule", "severity", "labels", "starts", "ends", "comment", "created_by", "silence")
TOLD_COLUMNS = ("time", "channel", "status", "rule", "state", "labels", "attempts", "detail")
CHANNEL_COLUMNS = (
    *("channel", "kind", "is_of_configuration", "min_severity", "states", "labels", "max_per_minute"),
    *("waiting", "waiting_reason", "last_sent", "last_failed", "last_failed_reason", "failure"),
)
_STATUSES = {"sent": "healthy", "failed": "critical", "waiting": "no_data"}


def none(text: str) -> list[Component]:
    """Return the sentence that stands where there is nothing."""
    return [html.Div(text, className="alerts-none")]


def history_list(snapshot: Snapshot) -> list[Component]:
    """Return transitions, the latest first."""
    rows: list[Component] = []
    for past in snapshot.history[:HISTORY_LENGTH]:
        known = next((one.rule for one in snapshot.rules if one.rule.rule_id == past.rule_id), None)
        change = past.transition
        unit = known.unit if known else ""
        value = "" if change.value is None else value_text(change.value, unit)
        rows.append(
            html.Div(
                [
                    moment(change.at_s),
                    state_pill(change.severity, change.after),
                    html.Div(
                        [
                            PageLink(
                                "/alerts",
                                title_of(snapshot.rule_name(past.rule_id), past.labels),
                                "row-link",
                                {"tab": "firing", "alert": past.alert_id},
                            ),
                            html.Span(labels_line(past.labels, "service"), className="alert-tags"),
                        ]
                    ),
                    html.Span(value, className="mono row-value"),
                    html.Span(visible(change.reason), className="row-note"),
                ],
                className="table-row history-row",
                **csv_row(
                    *(round(1e3 * change.at_s), past.rule_id, change.severity, change.after, change.value),
                    *(change.reason, dict(past.labels), past.alert_id),
                ),
            )
        )
    return rows or none(_nothing_happened(snapshot))


def history_note(snapshot: Snapshot) -> str:
    """Return what of the history is shown, if that is not all."""
    of_rule = snapshot.view.of_rule
    return f"{f'of {visible(snapshot.rule_name(of_rule))}' if of_rule else ''}{words_of(snapshot.view.where)}".strip()


def _nothing_happened(snapshot: Snapshot) -> str:
    what = "No alert" if not snapshot.view.of_rule else "No alert of this rule"
    since = " lately" if snapshot.looked_at else " yet"
    return f"{what}{words_of(snapshot.view.where)} has changed{since}."


def history_more(snapshot: Snapshot) -> list[Component]:
    """Return the links to what was before, and back."""
    links: list[Component] = []
    if snapshot.view.before:
        links.append(PageLink("/alerts", "Latest", "link-button", {"tab": "history", "before": None}))
    has_more = len(snapshot.history) > HISTORY_LENGTH
    last = snapshot.history[HISTORY_LENGTH - 1].key if has_more else snapshot.looked_at
    if last is not None:
        links.append(PageLink("/alerts", "Earlier", "link-button", {"tab": "history", "before": key_text(last)}))
    if snapshot.view.of_rule:
        links.append(PageLink("/alerts", "All rules", "link-button", {"tab": "history", "of": None, "before": None}))
    return links


def rule_list(snapshot: Snapshot) -> list[Component]:
    """Return the rules, each with what it says, how it stands, and its switch."""
    phases = Counter((one.alert.rule_id, one.alert.state.phase) for one in snapshot.open_alerts)
    shown = rules_in_view(snapshot)
    rows: list[Component] = [_rule(known, phases, snapshot) for known in shown]
    return rows or none("No rule is about that." if snapshot.rules else "There is no rule.")


def rules_in_view(snapshot: Snapshot) -> list[KnownRule]:
    """Return the rules by their names, without those that are certainly about something else than passes the filter."""
    shown = [known for known in snapshot.rules if may_be_about(snapshot.view.where, known.rule.scope)]
    return sorted(shown, key=lambda known: (known.rule.name.casefold(), known.rule.rule_id))


def silences_in_view(snapshot: Snapshot) -> list[Silence]:
    """Leave out the silences that certainly keep quiet about something else than the filter lets through."""
    return [one for one in snapshot.silences if may_be_about(snapshot.view.where, one.labels)]


def counted(shown: int, of_all: int) -> str:
    """Return how many are shown, and how many others the filters leave out."""
    return left_out_text(formatting.count(shown), of_all - shown)


def _rule(known: KnownRule, phases: Counter[tuple[str, Phase]], snapshot: Snapshot) -> Component:
    rule = known.rule
    firing, silent = phases[rule.rule_id, Phase.FIRING], phases[rule.rule_id, Phase.NO_DATA]
    failure = snapshot.report.failures.get(rule.rule_id)
    tags = [html.Span(f"{firing} firing", className="flag is-critical")] if firing else []
    if silent:
        tags.append(html.Span(f"{silent} without data", className="flag is-muted"))
    if known.is_built_in:
        tags.append(html.Span("built in" if not known.revision else "built in, changed", className="flag is-muted"))
    if failure:
        tags.append(html.Span(f"Cannot be evaluated: {visible(failure)}", className="flag is-critical"))
    return html.Div(
        [
            ActionButton(
                "alerts-action",
                {
                    "do": "turn",
                    "rule": rule.rule_id,
                    "revision": known.revision,
                    "is_enabled": not rule.is_enabled,
                },
                "On" if rule.is_enabled else "Off",
                "switch is-on" if rule.is_enabled else "switch",
                label=f"{rule.name}: turn {'off' if rule.is_enabled else 'on'}",
                is_pressed=rule.is_enabled,
            ),
            html.Div(
                [
                    PageLink(
                        "/alerts",
                        [html.Bdi(shown(rule.name), className="alert-name")],
                        "row-link",
                        {"tab": "rules", "rule": rule.rule_id},
                    ),
                    html.Div([html.Span(sentence(rule)), *tags], className="row-note alert-tags"),
                ]
            ),
            html.Span(thresholds(rule), className="mono row-value"),
            _removal(known),
        ],
        className="table-row rule-row" if rule.is_enabled else "table-row rule-row is-off",
        key=rule.rule_id,
        **csv_row(
            *(rule.rule_id, rule.name, rule.is_enabled, rule.signal, rule.comparison, rule.warning, rule.critical),
            *(rule.unit, dict(rule.scope), list(rule.labels), firing),
        ),
    )


def _removal(known: KnownRule) -> Component:
    """Return what deletes a rule that was written; a built-in one becomes as it came."""
    if not known.revision:
        return html.Span()
    text = "Reset" if known.is_built_in else "Delete"
    return ActionButton(
        "alerts-action",
        {"do": "delete", "rule": known.rule.rule_id, "revision": known.revision},
        text,
        "act is-quiet",
        label=f"{text} {known.rule.name}",
        confirm="Sure?",
    )


def sentence(rule: Rule) -> str:
    """Return what a rule watches, in one line."""
    parts = [name_of(rule)]
    if rule.signal not in (Signal.ABSENCE, Signal.PIPELINE_LAG):
        parts.append(f"over {window_text(rule.seconds)}")
    if rule.labels:
        parts.append(f"by {', '.join(map(shown, rule.labels))}")
    if rule.scope:
        parts.append("of " + ", ".join(f"{shown(name)}={shown(pattern)}" for name, pattern in rule.scope.items()))
    if rule.for_s:
        parts.append(f"for {length(rule.for_s)}")
    return " ".join(parts)


def thresholds(rule: Rule) -> str:
    """Return both thresholds with their side: "> 500 ms / 1 s"."""
    found = [value_text(one, rule.unit) for one in (rule.warning, rule.critical) if one is not None]
    return f"{'>' if rule.comparison == 'above' else '<'} {' / '.join(found)}"


def silence_list(snapshot: Snapshot) -> list[Component]:
    """Return the silences that have not ended."""
    rows: list[Component] = [_silence(one, snapshot) for one in silences_in_view(snapshot)]
    return rows or none("Nothing of that is silenced." if snapshot.silences else "Nothing is silenced.")


def _silence(one: Silence, snapshot: Snapshot) -> Component:
    is_active = one.is_active(snapshot.now_s)
    left = one.ends_s - snapshot.now_s if is_active else one.starts_s - snapshot.now_s
    what = [html.Span(f"rule {shown(one.rule)}")] if one.rule != "*" else []
    if one.severity:
        what.append(html.Span(one.severity))
    by = f" by {shown(one.created_by)}" if one.created_by else ""
    return html.Div(
        [
            html.Span(
                "Active" if is_active else "Later", className=f"pill is-{'degraded' if is_active else 'no_data'}"
            ),
            html.Div(
                [
                    html.Div([*what, *labels_line(one.labels)], className="alert-tags"),
                    html.Div(f"{visible(one.comment)}{by}", className="row-note"),
                ]
            ),
            html.Span(
                [f"{length(left)} left, until " if is_active else f"in {length(left)}, until ", moment(one.ends_s)],
                className="row-value",
            ),
            ActionButton(
                "alerts-action",
                {"do": "end-silence", "silence": one.silence_id},
                "End",
                "act is-quiet",
                label=f"End the silence: {one.comment[:80]}",
                confirm="Sure?",
            ),
        ],
        className="table-row silence-row",
        key=one.silence_id,
        **csv_row(
            *(one.rule, one.severity, dict(one.labels), round(1e3 * one.starts_s), round(1e3 * one.ends_s)),
            *(one.comment, one.created_by, one.silence_id),
        ),
    )


def channel_list(snapshot: Snapshot) -> list[Component]:
    """Return the channels, how the deliveries of each stand, and a button that tests it."""
    rows = [_channel(one) for one in snapshot.channels]
    return rows or none("There is no channel: nobody is told. Make one below, or set MODELWATCH_ALERTS__CHANNELS.")


def _channel(one: ChannelState) -> Component:
    last: list[str | Component] = [html.Span("nothing delivered yet")]
    if one.last_sent_s is not None:
        last = ["delivered ", moment(one.last_sent_s)]
    failed: list[str | Component] = []
    if one.last_failed_s is not None:
        failed = ["failed ", moment(one.last_failed_s), f": {visible(one.last_failed_reason)}"]
    waiting = f"{formatting.count(one.waiting)} waiting: {visible(one.waiting_reason)}" if one.waiting else ""
    trouble: list[Component] = []
    if one.failure:
        trouble = [html.Div(f"Cannot be used: {visible(one.failure)}.", className="row-note is-bad")]
    return html.Div(
        [
            html.Div(
                [
                    html.Span(shown(one.name), className="alert-name"),
                    html.Span(f" {one.kind}", className="row-note"),
                    *([_OF_CONFIGURATION] if one.is_known and not one.revision else []),
                    *trouble,
                ]
            ),
            html.Span(_takes(one), className="row-note"),
            html.Span(last, className="row-note"),
            html.Span([*failed, html.Div(waiting)], className="row-note is-bad"),
            html.Div(_ways(one), className="channel-ways"),
        ],
        className="table-row channel-row",
        key=one.name,
        **csv_row(
            *(one.name, one.kind, one.is_known and not one.revision, *_filter_of(one), one.waiting),
            *(one.waiting_reason, _ms(one.last_sent_s), _ms(one.last_failed_s), one.last_failed_reason, one.failure),
        ),
    )


_OF_CONFIGURATION = html.Div("by the configuration, changed there", className="row-note")


def _ways(one: ChannelState) -> list[Component]:
    """Return what can be done with a channel."""
    if not one.is_known:
        return [html.Span("not set any more", className="row-note")]
    ways: list[Component] = []
    if one.settings is not None:
        test = {"channel": one.name}
        ways.append(ActionButton("alerts-test", test, "Test", "act", label=f"Send a test to {one.name}"))
    if one.revision:
        opened, gone = {"name": one.name}, {"do": "remove-channel", "channel": one.name, "revision": one.revision}
        ways += [
            ActionButton("alerts-channel", opened, "Change", "act is-quiet", label=f"Change {one.name}"),
            ActionButton("alerts-action", gone, "Remove", "act is-quiet", label=f"Remove {one.name}", confirm="Sure?"),
        ]
    return ways


def _filter_of(one: ChannelState) -> tuple[object, ...]:
    settings = one.settings
    if settings is None:
        return "", [], {}, None
    return settings.min_severity, [*settings.states], dict(settings.labels), settings.max_per_minute


def _ms(second: float | None) -> int | None:
    return None if second is None else round(1e3 * second)


def _takes(one: ChannelState) -> str:
    """Return what a channel is told."""
    if one.settings is None:
        return ""
    states = ", ".join(state.value.replace("_", " ") for state in one.settings.states)
    labels = "".join(f", {shown(name)}={shown(value)}" for name, value in one.settings.labels.items())
    most = one.settings.max_per_minute
    limit = f"; at most {formatting.count(most)} a minute" if most else ""
    return f"{states}; from {one.settings.min_severity.value} on{labels}{limit}"


def delivery_list(snapshot: Snapshot) -> list[Component]:
    """Return the latest notifications and what became of them."""
    rows: list[Component] = [
        html.Div(
            [
                moment(one.created_s),
                html.Span(one.status.capitalize(), className=f"pill is-{_STATUSES.get(one.status, 'no_data')}"),
                html.Div(
                    [
                        html.Span(f"{one.notification.state.value.replace('_', ' ').capitalize()}: "),
                        html.Span(shown(one.notification.rule_name)),
                        html.Span(labels_line(one.notification.group_labels), className="alert-tags"),
                    ]
                ),
                html.Span(shown(one.channel), className="row-value"),
                html.Span(_attempts(one.attempts, one.detail), className="row-note"),
            ],
            className="table-row history-row",
            **csv_row(
                *(round(1e3 * one.created_s), one.channel, one.status, one.notification.rule_name),
                *(one.notification.state, dict(one.notification.group_labels), one.attempts, one.detail),
            ),
        )
        for one in snapshot.deliveries
    ]
    return rows or none(f"No notification{words_of(snapshot.view.where)} was made yet.")


def _attempts(attempts: int, detail: str) -> str:
    return ", ".join(filter(None, [formatting.plural(attempts, "attempt"), visible(detail) if detail else ""]))
