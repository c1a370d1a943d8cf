"""One whole answer of each route, as OpenAPI shows it.

The tests hold them against the shapes in `api/models.py`.
"""

from __future__ import annotations

from typing import Any, Final

_TOTAL: Final = {
    "calls": 1180,
    "errors": 11,
    "client_errors": 24,
    "error_rate": 0.009322033898305085,
    "rate_per_s": 3.933333333333333,
    "p50_s": 0.0413,
    "p95_s": 1.92,
    "p99_s": 2.31,
}

NEXT_CURSOR: Final = "WyI5ZjJhYzQwMWI3ZGUiLFtdLFsiY2h1cm4iXV0="

SERVICES_EXAMPLE: Final[dict[str, Any]] = {
    "start": "2026-11-22T09:55:00Z",
    "end": "2026-11-22T10:00:00Z",
    "items": [
        {
            "service": "churn-classifier",
            "versions": ["1.4.0"],
            "environments": ["production"],
            "instance_count": 2,
            **_TOTAL,
            "apdex": 0.91,
            "last_seen": "2026-11-22T09:59:58Z",
            "status": "critical",
            "problems": [
                {
                    "kind": "high_latency",
                    "status": "critical",
                    "value": 1.92,
                    "threshold": 1.0,
                    "evidence": "P95 1.92 s over the last minute, above 1 s",
                }
            ],
        }
    ],
    "total": {**_TOTAL, "apdex": 0.91},
    "next_cursor": NEXT_CURSOR,
}

RED_EXAMPLE: Final[dict[str, Any]] = {
    "start": "2026-11-22T09:55:00Z",
    "end": "2026-11-22T10:00:00Z",
    "step_s": 300,
    "source": "live",
    "items": [
        {
            "labels": {"service": "churn-classifier", "route": "/predict"},
            "points": [
                {
                    "time": "2026-11-22T09:55:00Z",
                    **{name: value for name, value in _TOTAL.items() if name not in ("error_rate", "rate_per_s")},
                }
            ],
            "total": _TOTAL,
        }
    ],
    "next_cursor": NEXT_CURSOR,
}

PIPELINE_EXAMPLE: Final[dict[str, Any]] = {
    "scope": "process",
    "items": [
        {"kind": "counter", "name": "processor_stored_items", "labels": {"signal": "traces"}, "value": 1180},
        {
            "kind": "counter",
            "name": "receiver_accepted_items",
            "labels": {"signal": "traces", "transport": "grpc"},
            "value": 1180,
        },
        {"kind": "gauge", "name": "receiver_in_flight_requests", "labels": {}, "value": 3},
    ],
    "overflows": [
        {
            "service": "job-runner",
            "kept": 5000,
            "estimate": 81200,
            "distinct": {"service_instance_id": 80900, "http_route": 4},
            "cause": "service_instance_id",
        }
    ],
}
