"""The answer that fills the page of alerts: one snapshot, drawn.

Asked for by the shell once a beat; the forms of the page are never touched.
"""

from __future__ import annotations

from typing import Final

from dash_app.alerts import firing, lists
from dash_app.alerts.layout import TABS
from dash_app.alerts.snapshot import Snapshot
from dash_app.alerts.words import length
from dash_app.shared import formatting
from dash_app.shared.editing import FOR_EDITORS
from dash_app.shared.names import visible
from dash_app.shell.page import Answer, Filling

_PACE_S: Final = 1.0
_LATE_S: Final = 60.0


def answer_of(snapshot: Snapshot) -> Answer:
    """Return everything that the open tab shows."""
    shown = snapshot.view.tab
    filling: dict[str, dict[str, object]] = {
        "alerts-loading": {"hidden": True},
        **{f"alerts-{tab}": {"hidden": tab != shown} for tab in TABS},
        "alerts-trust": {"children": trust(snapshot)},
        "alerts-wanted": {"data": snapshot.view.rule_id if shown == "rules" else ""},
        "alerts-editor": {"hidden": shown != "rules" or not snapshot.view.rule_id},
    }
    return Answer({**filling, **_tab(snapshot)}, {}, int(snapshot.now_s), None, pace_s=_PACE_S, is_of_now=True)


def _tab(snapshot: Snapshot) -> Filling:
    match snapshot.view.tab:
        case "history":
            return {
                "alerts-history-list": {"content": lists.history_list(snapshot)},
                "alerts-history-more": {"content": lists.history_more(snapshot)},
                "alerts-history-note": {"children": lists.history_note(snapshot)},
            }
        case "rules":
            shown = len(lists.rules_in_view(snapshot))
            return {
                "alerts-rules-list": {"content": lists.rule_list(snapshot)},
                "alerts-rules-count": {"children": lists.counted(shown, len(snapshot.rules))},
            }
        case "silences":
            shown = len(lists.silences_in_view(snapshot))
            return {
                "alerts-silences-list": {"content": lists.silence_list(snapshot)},
                "alerts-silences-count": {"children": lists.counted(shown, len(snapshot.silences))},
            }
        case "channels":
            return {
                "alerts-channels-list": {"content": lists.channel_list(snapshot)},
                "alerts-channels-count": {"children": formatting.count(len(snapshot.channels))},
                "alerts-told-list": {"content": lists.delivery_list(snapshot)},
            }
    is_chosen = bool(snapshot.view.alert_id)
    return {
        "alerts-list": {"content": firing.firing_list(snapshot)},
        "alerts-count": {"children": firing.firing_count(snapshot)},
        "alerts-detail": {"hidden": not is_chosen},
        "alerts-detail-body": {"content": firing.detail(snapshot) if is_chosen else []},
        "alerts-detail-forms": {
            "hidden": snapshot.chosen is None,
            "className": f"{FOR_EDITORS} detail-forms"
            if snapshot.chosen and firing.is_firing(snapshot.chosen)
            else f"{FOR_EDITORS} detail-forms is-pending",
        },
    }


def trust(snapshot: Snapshot) -> str:
    """Return why what is shown may not be how things are; empty where it is."""
    report = snapshot.report
    if report.frozen_reason:
        since = f" for {length(snapshot.now_s - report.frozen_since_s)}" if report.frozen_since_s else ""
        return (
            f"Alerts have been frozen{since}: {visible(report.frozen_reason)}. "
            "Until then nothing fires and nothing is resolved, except by pipeline-behind."
        )
    if report.at_s and snapshot.now_s - report.at_s > _LATE_S:
        return (
            f"Nobody has evaluated alerts for {length(snapshot.now_s - report.at_s)}. "
            "Start modelwatch alerts, or look at its log."
        )
    if report.left_out:
        return (
            f"{formatting.plural(report.left_out, 'group')} more are bad and are not shown as alerts, "
            "as too many are open (MODELWATCH_ALERTS__MAX_OPEN_ALERTS)."
        )
    return ""
