"""One whole answer of each route about alerts, as OpenAPI shows it; the tests hold them against the shapes."""

from __future__ import annotations

from typing import Any, Final

from alerting.default_rules import DEFAULT_RULES

_ALERT: Final = "5f0c4a1de8a5b1c2d3e4f506"
_LABELS: Final = {"service": "churn-classifier"}
_LINKS: Final = {
    "page": "/?range=1h&service=churn-classifier&at=1795341600",
    "alerts": f"/alerts?alert={_ALERT}",
}

ALERTS_EXAMPLE: Final[dict[str, Any]] = {
    "items": [
        {
            "alert_id": _ALERT,
            "rule_id": "high-latency",
            "rule_name": "High latency",
            "signal": "latency_p95",
            "unit": "s",
            "labels": _LABELS,
            "state": "firing",
            "severity": "critical",
            "value": 1.92,
            "compared": 1.92,
            "threshold": 1.0,
            "summary": "P95 1.92 s over the last minute, above 1 s",
            "reason": "above the threshold for 10 s",
            "since": "2026-11-22T10:00:00.000Z",
            "started": "2026-11-22T10:00:00.000Z",
            "is_flapping": False,
            "ack": {"by": "ann", "note": "rolling back", "severity": "critical", "at": "2026-11-22T10:02:00.000Z"},
            "silenced_until": None,
            "links": _LINKS,
        }
    ],
    "total": 1,
    "firing": 1,
    "evaluator": {
        "evaluated": "2026-11-22T10:02:05.000Z",
        "is_frozen": False,
        "frozen_reason": "",
        "frozen_since": None,
        "rules": 7,
        "groups": 12,
        "left_out": 0,
        "round_s": 0.012,
    },
}

HISTORY_EXAMPLE: Final[dict[str, Any]] = {
    "items": [
        {
            "alert_id": _ALERT,
            "rule_id": "high-latency",
            "labels": _LABELS,
            "time": "2026-11-22T10:00:00.000Z",
            "before": "pending",
            "after": "firing",
            "severity": "critical",
            "value": 1.92,
            "compared": 1.92,
            "threshold": 1.0,
            "reason": "above the threshold for 10 s",
            "is_flapping": False,
        }
    ],
    "next": f"1795341600000.{_ALERT}.2",
}

RULES_EXAMPLE: Final[dict[str, Any]] = {
    "items": [
        {
            "rule": DEFAULT_RULES[0].model_dump(mode="json"),
            "revision": 0,
            "is_built_in": True,
            "changed": None,
            "failure": None,
        }
    ]
}

BACKTEST_EXAMPLE: Final[dict[str, Any]] = {
    "start": "2026-11-21T10:00:00Z",
    "end": "2026-11-22T10:00:00Z",
    "step_s": 60,
    "window_s": 60,
    "groups": 3,
    "fired": 1,
    "firing_s": 240.0,
    "longest_s": 240.0,
    "episodes": [
        {
            "labels": _LABELS,
            "started": "2026-11-22T09:00:00.000Z",
            "ended": "2026-11-22T09:04:00.000Z",
            "severity": "critical",
            "peak": 1.92,
        }
    ],
    "series": [{"labels": _LABELS, "values": [0.041, None, 1.92]}],
}

SILENCES_EXAMPLE: Final[dict[str, Any]] = {
    "items": [
        {
            "silence_id": "0123456789abcdef",
            "rule": "*",
            "labels": {"service": "churn-*"},
            "severity": None,
            "starts": "2026-11-22T10:00:00.000Z",
            "ends": "2026-11-22T12:00:00.000Z",
            "is_active": True,
            "comment": "moving the database",
            "created_by": "ann",
            "created": "2026-11-22T09:58:00.000Z",
        }
    ]
}

NOTIFICATIONS_EXAMPLE: Final[dict[str, Any]] = {
    "items": [
        {
            "channel": "on-call",
            "status": "sent",
            "attempts": 1,
            "detail": "",
            "created": "2026-11-22T10:00:00.000Z",
            "due": None,
            "finished": "2026-11-22T10:00:00.400Z",
            "notification": {
                "notification_id": "8d0a6f3b1c2d4e5f60718293",
                "created_s": 1795341600.0,
                "rule_id": "high-latency",
                "rule_name": "High latency",
                "description": "",
                "runbook_url": "",
                "signal": "latency_p95",
                "unit": "s",
                "comparison": "above",
                "group_labels": _LABELS,
                "state": "firing",
                "severity": "critical",
                "items": [
                    {
                        "alert_id": _ALERT,
                        "state": "firing",
                        "severity": "critical",
                        "labels": _LABELS,
                        "summary": "P95 1.92 s over the last minute, above 1 s",
                        "value": 1.92,
                        "compared": 1.92,
                        "threshold": 1.0,
                        "started_s": 1795341600.0,
                        "ended_s": None,
                        "reason": "above the threshold for 10 s",
                        "is_repeat": False,
                        "is_flapping": False,
                        "evidence": None,
                        "links": _LINKS,
                    }
                ],
                "left_out": 0,
                "is_test": False,
            },
        }
    ],
    "next": None,
}
