"""The rules that are there from the start, on the demo: each fires in its incident, and is resolved afterwards."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from alerting.default_rules import DEFAULT_RULES
from tests.examples.conftest import poll
from tests.examples.running_demo import Demo

QUICK = {"window_s": 8, "for_s": 1, "keep_firing_for_s": 1, "interval_s": 1}
CHANGES: dict[str, dict[str, Any]] = {
    "high-latency": QUICK | {"min_requests": 5},
    "high-error-rate": QUICK,
    "high-cpu": QUICK,
    "high-memory": QUICK,
    "cpu-throttled": QUICK,
    "restarting": {"window_s": 30, "keep_firing_for_s": 1, "interval_s": 1},
    "no-requests": {"is_enabled": True, "warning": 3, "interval_s": 1},
    "pipeline-behind": {"warning": 6, "for_s": 1, "keep_firing_for_s": 1, "interval_s": 1},
}
"""Shorter times, as a user may choose; what is bad stays what it was, but for seconds of silence."""
SETTINGS = "containers: {interval_s: 1, engine: none}\nalerts: {silent_processor_s: 5}\n"
INCIDENTS = ("slow=20", "failing=20", "short-of-cpu=30", "short-of-memory=25", "crashing=9", "behind=15")
NEEDS_CGROUPS = {"high-memory", "cpu-throttled"}
IN_TIME_S = 300.0
pytestmark = pytest.mark.timeout(480)


@dataclass
class Seen:
    """What the history of alerts says by rule, in order, with the reasons and what the demo said."""

    states: dict[str, list[str]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    output: str = ""

    def has_ended(self, rule_id: str) -> bool:
        states = self.states.get(rule_id, [])
        return "firing" in states and "resolved" in states[states.index("firing") :]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """All incidents side by side, and the one of ModelWatch itself after them; over once every rule was through."""
    demo, found = Demo(tmp_path_factory.mktemp("demo"), SETTINGS), Seen()
    deadline = time.monotonic() + IN_TIME_S
    with demo.running(*(word for name in INCIDENTS for word in ("--incident", name))):
        poll(lambda: is_up(demo), timeout_s=120, what="ModelWatch is up")
        change_rules(demo)
        while time.monotonic() < deadline and not all(found.has_ended(rule_id) for rule_id in possible(found)):
            look(demo, found)
            time.sleep(0.5)
        yield found


@pytest.mark.parametrize("rule_id", CHANGES)
def test_each_default_rule_fires_in_the_demo_and_is_resolved(seen: Seen, rule_id: str) -> None:
    """With the traffic, the processes and the incidents that anybody sees who starts it."""
    if rule_id not in possible(seen):
        pytest.skip("no cgroups may be made on this machine: no API of the demo has limits of its own, as it says")
    assert seen.has_ended(rule_id), f"{seen.states}\n{seen.output}"


def test_there_is_an_incident_for_every_default_rule() -> None:
    """None is left out above."""
    assert CHANGES.keys() == {rule.rule_id for rule in DEFAULT_RULES}


def possible(found: Seen) -> set[str]:
    return CHANGES.keys() - (NEEDS_CGROUPS if "No cgroups may be made here" in found.output else set())


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


def look(demo: Demo, found: Seen) -> None:
    answer = httpx.get(f"{demo.page}/api/v1/alerts/history?limit=500", trust_env=False, timeout=20)
    if answer.is_success:
        found.states = {}
        for item in reversed(answer.json()["items"]):
            found.states.setdefault(item["rule_id"], []).append(item["after"])
    found.output = demo.output()
