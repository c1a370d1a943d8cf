"""One whole answer for each route of traces, as OpenAPI shows it; the tests hold it against its shape."""

from __future__ import annotations

from typing import Any, Final

_REQUEST: Final[dict[str, Any]] = {
    "trace_id": "5b8efff798038103d269b633813fc60c",
    "span_id": "eee19b7ec3c1b174",
    "start": "2026-11-22T09:59:58.120000000Z",
    "duration_s": 0.812,
    "service": "churn-classifier",
    "version": "1.4.0",
    "instance": "churn-1",
    "environment": "production",
    "model": "churn",
    "model_version": "7",
    "span_kind": "SERVER",
    "name": "POST /predict",
    "method": "POST",
    "route": "/predict",
    "peer": "",
    "operation": "",
    "status_code": 500,
    "error": True,
    "kept_as": "error",
}

TRACES_EXAMPLE: Final[dict[str, Any]] = {
    "start": "2026-11-22T09:00:00Z",
    "end": "2026-11-22T10:00:00Z",
    "items": [_REQUEST],
    "next_cursor": "t.1795341598.1795341598932000000.5b8efff798038103d269b633813fc60c.eee19b7ec3c1b174",
    "is_cut_short": False,
    "count": {
        "start": "2026-11-22T09:00:00Z",
        "end": "2026-11-22T10:00:00Z",
        "kept": 1204,
        "is_more": False,
        "calls": 86211,
    },
    "kept_since": "2026-11-20T11:02:41Z",
}

TRACE_EXAMPLE: Final[dict[str, Any]] = {
    "trace_id": "5b8efff798038103d269b633813fc60c",
    "start": "2026-11-22T09:59:58.120000000Z",
    "duration_s": 0.812,
    "kept": 1,
    "has_gaps": False,
    "missing_parents": [],
    "spans": [
        {
            **_REQUEST,
            "parent_span_id": "",
            "depth": 0,
            "is_parent_missing": False,
            "status_message": "",
            "attributes": {"http.route": "/predict", "http.response.status_code": 500},
            "events": [
                {
                    "name": "exception",
                    "time": "2026-11-22T09:59:58.930000000Z",
                    "attributes": {"exception.type": "ValueError"},
                }
            ],
            "links": [],
            "dropped": 0,
        }
    ],
}
