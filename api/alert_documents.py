"""From what is known of alerts to JSON; plain functions to plain dicts, as in `api/documents.py`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from alerting.backtest import Backtest
from alerting.desk import Delivery, HistoryKey, OpenAlert, Past
from alerting.report import Report
from alerting.rulebook import KnownRule
from alerting.silences import LAST_S, Silence
from alerting.states import Phase
from alerting.wording import summary_of
from api.alert_parameters import cursor_of
from api.documents import Json
from api.parameters import rfc_3339


def moment(second: float | None) -> str | None:
    """Write Unix seconds as RFC 3339 with milliseconds; nothing and 0 are no time, and none is after the year 9999."""
    if not second:
        return None
    return datetime.fromtimestamp(min(second, LAST_S), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def open_alerts_document(
    known: Sequence[OpenAlert],
    found: Sequence[OpenAlert],
    page: tuple[Sequence[OpenAlert], str | None],
    report: Report,
) -> Json:
    """Return `alert_models.OpenAlerts`: of all that are `known`, those that were `found`, by the page."""
    shown, next_cursor = page
    phases = Counter(one.alert.state.phase for one in known)
    return {
        "items": [open_alert_document(one) for one in shown],
        "next_cursor": next_cursor,
        "total": len(found),
        "firing": phases[Phase.FIRING],
        "no_data": phases[Phase.NO_DATA],
        "evaluator": report_document(report),
    }


def open_alert_document(one: OpenAlert) -> Json:
    """Return `alert_models.OpenAlert`."""
    alert, state, rule = one.alert, one.alert.state, one.rule.rule if one.rule else None
    return {
        "alert_id": alert.alert_id,
        "rule_id": alert.rule_id,
        "rule_name": rule.name if rule else alert.rule_id,
        "signal": rule.signal.value if rule else "",
        "unit": rule.unit if rule else "",
        "labels": dict(alert.labels),
        "state": state.phase.value,
        "severity": state.severity.value if state.severity else None,
        "value": state.value,
        "compared": state.compared,
        "threshold": one.threshold,
        "summary": summary_of(rule, state.value, state.compared, one.threshold) if rule else state.reason,
        "reason": state.reason,
        "since": moment(state.since_s),
        "started": None if state.phase == Phase.PENDING else moment(state.started_s),
        "is_flapping": state.is_flapping,
        "ack": None
        if one.ack is None
        else {
            "by": one.ack.by,
            "note": one.ack.note,
            "severity": one.ack.severity.value,
            "at": moment(one.ack.at_s),
        },
        "silenced_until": moment(one.silence.ends_s) if one.silence else None,
        "links": {"page": one.links.page, "alerts": one.links.alerts},
    }


def report_document(report: Report) -> Json:
    """Return `alert_models.EvaluatorReport`."""
    return {
        "evaluated": moment(report.at_s),
        "is_frozen": bool(report.frozen_reason),
        "frozen_reason": report.frozen_reason,
        "frozen_since": moment(report.frozen_since_s),
        "rules": report.rules,
        "groups": report.groups,
        "left_out": report.left_out,
        "round_s": report.round_s,
    }


def history_document(items: Sequence[Past], next_: HistoryKey | None) -> Json:
    """Return `alert_models.AlertHistory`."""
    return {"items": [_past(one) for one in items], "next_cursor": None if next_ is None else cursor_of(next_)}


def _past(one: Past) -> Json:
    transition = one.transition
    return {
        "alert_id": one.alert_id,
        "rule_id": one.rule_id,
        "labels": dict(one.labels),
        "time": moment(transition.at_s),
        "before": transition.before.value,
        "after": transition.after.value,
        "severity": transition.severity.value if transition.severity else None,
        "value": transition.value,
        "compared": transition.compared,
        "threshold": transition.threshold,
        "reason": transition.reason,
        "is_flapping": transition.is_flapping,
    }


def rule_document(known: KnownRule, report: Report, channel_trouble: str) -> Json:
    """Return `alert_models.AlertRule`."""
    return {
        "rule": known.rule.model_dump(mode="json"),
        "revision": known.revision,
        "is_built_in": known.is_built_in,
        "changed": moment(known.changed_ms / 1_000),
        "failure": report.failures.get(known.rule.rule_id),
        "channel_trouble": channel_trouble or None,
    }


def backtest_document(found: Backtest) -> Json:
    """Return `alert_models.Backtest`."""
    return {
        "start": rfc_3339(found.start_s),
        "end": rfc_3339(found.end_s),
        "step_s": found.step_s,
        "window_s": found.window_s,
        "groups": found.groups,
        "fired": found.fired,
        "firing_s": found.firing_s,
        "longest_s": found.longest_s,
        "episodes": [
            {
                "labels": dict(one.labels),
                "started": moment(one.started_s),
                "ended": moment(one.ended_s),
                "severity": one.severity.value,
                "peak": one.peak,
            }
            for one in found.episodes
        ],
        "series": [{"labels": dict(one.labels), "values": list(one.values)} for one in found.series],
    }


def silence_document(silence: Silence, now_s: float) -> Json:
    """Return `alert_models.AlertSilence`."""
    return {
        "silence_id": silence.silence_id,
        "rule": silence.rule,
        "labels": dict(silence.labels),
        "severity": silence.severity,
        "starts": moment(silence.starts_s),
        "ends": moment(silence.ends_s),
        "is_active": silence.is_active(now_s),
        "comment": silence.comment,
        "created_by": silence.created_by,
        "created": moment(silence.created_s),
    }


def delivery_document(one: Delivery) -> Json:
    """Return `alert_models.AlertDelivery`."""
    return {
        "channel": one.channel,
        "status": one.status,
        "attempts": one.attempts,
        "detail": one.detail,
        "created": moment(one.created_s),
        "due": moment(one.due_s) if one.status == "waiting" else None,
        "finished": moment(one.finished_s),
        "notification": one.notification.model_dump(mode="json"),
    }
