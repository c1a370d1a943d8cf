"""One whole answer of each route about alerts, as OpenAPI shows it; the tests hold them against the shapes.

Nothing in them is null: FastAPI leaves such fields out of the document.
"""

from __future__ import annotations

from typing import Any, Final

from alerting.rules import MetricChoice, Rule, Signal
from api.examples import NEXT_CURSOR

_ALERT: Final = "5f0c4a1de8a5b1c2d3e4f506"
_LABELS: Final = {"service": "churn-classifier"}
_LINKS: Final = {
    "page": "/?range=1h&service=churn-classifier&at=1795341600",
    "alerts": f"/alerts?alert={_ALERT}",
}

_RULE: Final = Rule(
    rule_id="long-queue",
    name="Long queue",
    description="Requests wait: add an instance.",
    runbook_url="https://runbooks.example.com/queue",
    signal=Signal.METRIC,
    metric=MetricChoice(name="inference.queue.length", aggregation="max", type="gauge", unit="{request}"),
    scope={"environment": "production"},
    group_by=("service", "instance"),
    notify_by=("service",),
    warning=50,
    critical=200,
    window_s=60,
    for_s=30,
    repeat_interval_s=3_600,
    channels=("on-call",),
)

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
            "silenced_until": "2026-11-22T12:00:00.000Z",
            "links": _LINKS,
        }
    ],
    "total": 1,
    "firing": 1,
    "no_data": 0,
    "evaluator": {
        "evaluated": "2026-11-22T10:02:05.000Z",
        "is_frozen": True,
        "frozen_reason": "a processor is 42 s behind",
        "frozen_since": "2026-11-22T10:02:00.000Z",
        "rules": 7,
        "groups": 12,
        "left_out": 0,
        "round_s": 0.012,
    },
    "next_cursor": NEXT_CURSOR,
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
    "next_cursor": f"1795341600000.{_ALERT}.2",
}

RULES_EXAMPLE: Final[dict[str, Any]] = {
    "items": [
        {
            "rule": _RULE.model_dump(mode="json"),
            "revision": 3,
            "is_built_in": False,
            "changed": "2026-11-22T09:00:00.000Z",
            "failure": "metrics of this name have the units 'By', 'MBy': name one of them",
            "channel_trouble": "there is no channel 'on-call', so it is told to all channels",
        }
    ],
    "next_cursor": NEXT_CURSOR,
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
            "severity": "warning",
            "starts": "2026-11-22T10:00:00.000Z",
            "ends": "2026-11-22T12:00:00.000Z",
            "is_active": True,
            "comment": "moving the database",
            "created_by": "ann",
            "created": "2026-11-22T09:58:00.000Z",
        }
    ],
    "next_cursor": NEXT_CURSOR,
}

_EVIDENCE: Final[dict[str, Any]] = {
    "window_s": 60,
    "calls": 1180,
    "errors": 11,
    "client_errors": 24,
    "rate_per_s": 19.67,
    "p50_s": 0.0413,
    "p95_s": 1.92,
    "p99_s": 2.31,
    "contributors": [
        {"dimension": "route", "name": "/predict", "calls": 1100, "errors": 11, "p95_s": 1.95, "share": 0.93}
    ],
    "cpu_cores": 1.9,
    "cpu_share": 0.95,
    "memory_bytes": 734003200.0,
    "memory_share": 0.68,
}

NOTIFICATIONS_EXAMPLE: Final[dict[str, Any]] = {
    "items": [
        {
            "channel": "on-call",
            "status": "failed",
            "attempts": 12,
            "detail": "given up after 12 attempts: no answer within 10 s",
            "created": "2026-11-22T10:00:00.000Z",
            "due": "2026-11-22T16:00:00.000Z",
            "finished": "2026-11-22T16:00:00.400Z",
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
                "state": "resolved",
                "severity": "critical",
                "items": [
                    {
                        "alert_id": _ALERT,
                        "state": "resolved",
                        "severity": "critical",
                        "labels": _LABELS,
                        "summary": "P95 1.92 s over the last minute, above 1 s",
                        "value": 1.92,
                        "compared": 1.92,
                        "threshold": 1.0,
                        "started_s": 1795341600.0,
                        "ended_s": 1795342200.0,
                        "reason": "above the threshold for 10 s",
                        "is_repeat": False,
                        "is_flapping": False,
                        "evidence": _EVIDENCE,
                        "links": _LINKS,
                    }
                ],
                "left_out": 0,
                "is_test": False,
            },
        }
    ],
    "next_cursor": "1795341600000.8d0a6f3b1c2d4e5f60718293.on-call",
}
