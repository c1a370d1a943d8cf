"""One whole answer about metrics, as OpenAPI shows it; the tests hold it against its shape."""

from __future__ import annotations

from typing import Any, Final

from api.examples import NEXT_CURSOR

METRIC_EXAMPLE: Final[dict[str, Any]] = {
    "start": "2026-11-22T09:00:00Z",
    "end": "2026-11-22T09:02:00Z",
    "step_s": 60,
    "name": "container.memory.usage",
    "unit": "By",
    "type": "sum",
    "aggregation": "avg",
    "items": [
        {
            "labels": {"container.name": "churn-classifier"},
            "points": [
                {"time": "2026-11-22T09:00:00Z", "value": 412876800.0},
                {"time": "2026-11-22T09:01:00Z", "value": 413925376.0},
            ],
        }
    ],
    "next_cursor": NEXT_CURSOR,
}
