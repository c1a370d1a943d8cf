"""What an alert says in one sentence, with its numbers in the units that people read.

Pure; for notifications, the page and the API alike.
"""

from __future__ import annotations

from typing import Final

from alerting.rules import APDEX_UNIT, Rule, Signal
from query.health import duration_text

_NAMES: Final = {
    Signal.LATENCY_P50: "P50",
    Signal.LATENCY_P95: "P95",
    Signal.LATENCY_P99: "P99",
    Signal.ERROR_RATE: "error rate",
    Signal.CLIENT_ERROR_RATE: "client error rate",
    Signal.APDEX: "Apdex",
    Signal.REQUEST_RATE: "request rate",
    Signal.ABSENCE: "time without a request",
    Signal.CPU: "CPU in use",
    Signal.MEMORY: "memory in use",
    Signal.THROTTLING: "throttled share",
    Signal.RESTARTS: "restarts",
    Signal.PIPELINE_LAG: "lag of the processors",
}


def name_of(rule: Rule) -> str:
    """Return what the rule measures, such as "P95" or "max of queue.length"."""
    if rule.metric is not None:
        return f"{rule.metric.aggregation} of {rule.metric.name}" if rule.metric.aggregation else rule.metric.name
    return _NAMES[rule.signal]


def value_text(value: float | None, unit: str) -> str:
    """Return a value with its unit: 350 ms, 10 min, 4.2 %, 12.5/s."""
    if value is None:
        return "no data"
    if unit == "s":
        return duration_text(value) if value >= 0 else f"{value:.4g} s"
    if unit == "1":
        return f"{100 * value:.3g} %"
    if unit == APDEX_UNIT:
        return f"{value:.3g}"
    if unit == "/s":
        return f"{value:.3g}/s"
    return f"{value:.6g} {unit}".rstrip()


def window_text(seconds: int) -> str:
    """Return a window for people: the last minute, the last 5 minutes, the last 90 s."""
    for unit_s, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds % unit_s == 0:
            count = seconds // unit_s
            return f"the last {unit}" if count == 1 else f"the last {count} {unit}s"
    return f"the last {seconds} s"


def summary_of(rule: Rule, value: float | None, compared: float | None, threshold: float | None) -> str:
    """Return the sentence: "P95 1.92 s over the last minute, above 1 s".

    An alert goes on firing for a while after that is over, or without data; then the sentence must not say it.
    """
    measured = f"{name_of(rule)} {value_text(value, rule.unit)}"
    if rule.signal not in (Signal.ABSENCE, Signal.PIPELINE_LAG):
        measured += f" over {window_text(rule.seconds)}"
    if compared is not None and value is not None and compared != value:
        measured += f" (surely {value_text(compared, rule.unit)})"
    if threshold is None:
        return measured
    limit = f"{rule.comparison} {value_text(threshold, rule.unit)}"
    if compared is None:
        return f"{measured}; it fires {limit}"
    is_beyond = compared > threshold if rule.comparison == "above" else compared < threshold
    return f"{measured}, {limit}" if is_beyond else f"{measured}, no longer {limit}"
