"""The rules that are there from the first start, for every service: slow, failing, short of CPU or memory, and blind.

Each can be changed or turned off under its id like any other; deleting the change brings the rule back as it is here.
"""

from __future__ import annotations

from typing import Final

from alerting.rules import Rule, Signal

DEFAULT_RULES: Final = (
    Rule(
        rule_id="high-latency",
        name="High latency",
        description="The slowest twentieth of the requests to this service takes too long.",
        signal=Signal.LATENCY_P95,
        warning=0.5,
        critical=1.0,
        min_requests=20,
        for_s=10,
        keep_firing_for_s=30,
    ),
    Rule(
        rule_id="high-error-rate",
        name="High error rate",
        description="Requests to this service fail: server errors, surely more than the threshold.",
        signal=Signal.ERROR_RATE,
        warning=0.01,
        critical=0.05,
        min_requests=10,
        for_s=10,
        keep_firing_for_s=30,
    ),
    Rule(
        rule_id="high-cpu",
        name="Short of CPU",
        description="The process or container uses nearly all of the CPU that it may use.",
        signal=Signal.CPU,
        warning=0.8,
        critical=0.95,
        for_s=20,
        keep_firing_for_s=30,
    ),
    Rule(
        rule_id="high-memory",
        name="Short of memory",
        description="The process or container is near its memory limit, beyond which it is killed.",
        signal=Signal.MEMORY,
        warning=0.85,
        critical=0.95,
        for_s=60,
        keep_firing_for_s=60,
    ),
    Rule(
        rule_id="cpu-throttled",
        name="Throttled",
        description="The process or container is made to wait because its CPU quota is used up.",
        signal=Signal.THROTTLING,
        warning=0.25,
        critical=0.5,
        for_s=30,
        keep_firing_for_s=60,
    ),
    Rule(
        rule_id="restarting",
        name="Restarting",
        description="The process or container restarts again and again.",
        signal=Signal.RESTARTS,
        warning=1,
        critical=3,
        keep_firing_for_s=60,
        on_no_data="resolve",
    ),
    Rule(
        rule_id="no-requests",
        name="No requests",
        description="A service that had requests within the hour has none any more.",
        signal=Signal.ABSENCE,
        warning=600,
        keep_firing_for_s=0,
        interval_s=10,
        is_enabled=False,
    ),
    Rule(
        rule_id="pipeline-behind",
        name="ModelWatch is behind",
        description="The processors are behind or silent, so what the pages show is old, and other alerts are frozen.",
        signal=Signal.PIPELINE_LAG,
        warning=30,
        critical=120,
        for_s=10,
        keep_firing_for_s=30,
    ),
)
"""`no-requests` is off at first: models that nobody calls at night are no incident."""
