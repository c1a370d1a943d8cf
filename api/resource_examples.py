"""Whole answers about resources, as OpenAPI shows them; the tests hold them against their shapes."""

from __future__ import annotations

from typing import Any, Final

from api.examples import NEXT_CURSOR

_USAGE: Final = {
    "cpu_cores": 1.94,
    "cpu_limit_cores": 2.0,
    "cpu_share": 0.97,
    "throttled_share": 0.31,
    "memory_bytes": 412876800.0,
    "memory_limit_bytes": 536870912.0,
    "memory_share": 0.769,
    "network_receive_bytes_per_s": 18231.0,
    "network_transmit_bytes_per_s": 9120.5,
    "disk_read_bytes_per_s": 0.0,
    "disk_write_bytes_per_s": 4096.0,
}
_OVER: Final = {"now": _USAGE, "mean": _USAGE, "points": [{"time": "2026-11-22T09:55:00Z", **_USAGE}]}

RESOURCES_EXAMPLE: Final[dict[str, Any]] = {
    "start": "2026-11-22T09:55:00Z",
    "end": "2026-11-22T10:00:00Z",
    "step_s": 300,
    "is_complete": True,
    "items": [
        {
            "kind": "container",
            "id": "4f1c07be2d5a4f1c07be2d5a4f1c07be2d5a4f1c07be2d5a4f1c07be2d5a4f1c",
            "name": "churn-1",
            "host": "node-1",
            "image": "registry.example/churn",
            "compose_project": "models",
            "compose_service": "churn",
            "k8s_namespace": "",
            "k8s_pod": "",
            "service": "churn-classifier",
            "instance": "627cc493-f310-47de-96bd-71410b7dec09",
            "environment": "production",
            "matched_by": "container.id",
            "state": "live",
            "reported_state": "running",
            "last_seen": "2026-11-22T09:59:58Z",
            "restarts": 0,
            "new_restarts": 0,
            "oom_kills": 0,
            "new_oom_kills": 0,
            **_OVER,
        }
    ],
    "groups": [{"name": "churn-classifier", "resource_count": 1, "live_count": 1, **_OVER}],
    "services": [
        {
            "service": "churn-classifier",
            "verdicts": [
                {
                    "kind": "throttled",
                    "status": "critical",
                    "value": 0.31,
                    "threshold": 0.25,
                    "evidence": "churn-1 used up its CPU quota of 2 cores in 31 % of the periods of the last 5 "
                    "minutes, above 25 %",
                    "resource": "churn-1",
                }
            ],
        }
    ],
    "traffic": {
        "memory_left_s": 41200.0,
        "calls_per_cpu_s": 2.03,
        "points": [
            {
                "time": "2026-11-22T09:55:00Z",
                "calls": 1180,
                "p99_s": 2.31,
                "calls_per_cpu_s": 2.03,
                "largest_memory_share": 0.769,
                **_USAGE,
            }
        ],
    },
    "next_cursor": NEXT_CURSOR,
}

INSTANCES_EXAMPLE: Final[dict[str, Any]] = {
    "since": "2026-11-22T09:00:00Z",
    "items": [
        {
            "service": "churn-classifier",
            "instance": "627cc493-f310-47de-96bd-71410b7dec09",
            "version": "1.4.0",
            "environment": "production",
            "host": "node-1",
            "pid": "4711",
            "container_id": "4f1c07be2d5a4f1c07be2d5a4f1c07be2d5a4f1c07be2d5a4f1c07be2d5a4f1c",
            "container_name": "",
            "k8s_namespace": "",
            "k8s_pod": "",
            "k8s_container": "",
            "sdk_language": "python",
            "sdk_version": "1.45.0",
            "first_seen": "2026-11-22T08:12:03Z",
            "last_seen": "2026-11-22T09:59:41Z",
        }
    ],
    "next_cursor": NEXT_CURSOR,
}
