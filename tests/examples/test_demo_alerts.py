"""The rules that are there from the start, on the demo: each fires in its incident, and is resolved afterwards."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.examples.conftest import poll
from tests.examples.running_demo import Demo

QUICK = {"window_s": 8, "for_s": 1, "keep_firing_for_s": 1, "interval_s": 1}
CHANGES: dict[str, dict[str, Any]] = {
    "high-latency": QUICK | {"min_requests": 5},
    "high-error-rate": QUICK,
    "high-cpu": QUICK,
    "high-memory": QUICK,
    "cpu-throttled": QUICK,
    "restarting": {"window_s": 120, "keep_firing_for_s": 1, "interval_s": 1},
    "no-requests": {"is_enabled": True, "warning": 12, "interval_s": 1},
}
"""Shorter times, as a user may choose; what is bad stays what it was, but for the seconds without requests."""
NEEDS_CGROUPS = {"high-memory", "cpu-throttled"}
IN_TIME_S = 240
"""An alert about restarts is over two minutes after the last of them, and the last comes late in its incident."""


@pytest.mark.timeout(600)
def test_each_default_rule_fires_in_the_demo_and_is_resolved(tmp_path: Path) -> None:
    """All incidents side by side, then no visitor at all. Only `pipeline-behind` needs more than one process to see.

    Where no cgroups may be made the demo says so, and two of the incidents cannot be.
    """
    demo = Demo(tmp_path, "containers: {interval_s: 1, engine: none}\n")
    incidents = ("slow=20", "failing=15", "short-of-cpu=40", "short-of-memory=25", "crashing=48")
    seen: defaultdict[str, set[str]] = defaultdict(set)

    def have(state: str, rules: set[str]) -> bool:
        for item in history(demo):
            seen[item["after"]].add(item["rule_id"])
        return seen[state] >= rules

    with demo.running(*(word for name in incidents for word in ("--incident", name))) as process:
        poll(lambda: is_up(demo), timeout_s=120, what="ModelWatch is up")
        change_rules(demo)
        poll(lambda: "incident:" in demo.output(), timeout_s=120, what="the incidents")
        possible = CHANGES.keys() - {"no-requests"}
        if "No cgroups may be made here" in demo.output():
            possible -= NEEDS_CGROUPS
        poll(lambda: have("firing", possible), timeout_s=IN_TIME_S, what=f"{possible} fire: {seen}")
        poll(lambda: have("resolved", possible), timeout_s=IN_TIME_S, what=f"{possible} are resolved: {seen}")
        (visitors,) = [one for one in psutil.Process(process.pid).children() if "examples.traffic" in one.cmdline()]
        visitors.suspend()
        poll(lambda: have("firing", {"no-requests"}), timeout_s=IN_TIME_S, what="no-requests fires")
        visitors.resume()
        poll(lambda: have("resolved", {"no-requests"}), timeout_s=IN_TIME_S, what="no-requests is resolved")


def is_up(demo: Demo) -> bool:
    try:
        return httpx.get(f"{demo.page}/readyz", trust_env=False, timeout=10).is_success
    except httpx.TransportError:
        return False


def change_rules(demo: Demo) -> None:
    with httpx.Client(base_url=f"{demo.page}/api/v1", trust_env=False, timeout=20) as client:
        for rule_id, change in CHANGES.items():
            rule = client.get(f"/alert-rules/{rule_id}").raise_for_status().json()["rule"]
            client.put(f"/alert-rules/{rule_id}", json=rule | change).raise_for_status()


def history(demo: Demo) -> list[dict[str, Any]]:
    answer = httpx.get(f"{demo.page}/api/v1/alerts/history?limit=500", trust_env=False, timeout=20)
    return list(answer.json()["items"]) if answer.is_success else []
