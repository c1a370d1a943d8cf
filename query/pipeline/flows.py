"""The arithmetic of promise 3: what all processes received and what became of it, per signal.

Pure. Sums of reports go into the course every few seconds; a flow is the difference between two of them. Where receiver
and processor are one process, the receiver says what it answered, the processor what it stored, and they are compared;
with RabbitMQ between, what lies between is in flight.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from query.pipeline.answers import Balance, SignalFlow, TierUse
from telemetry import Figures, ProcessReport, Signal

Sums = dict[str, dict[str, int]]
"""Counts by signal and by what was counted."""

SILENT_AFTER_S: Final = 15.0
_SETTLED: Final = ("stored", "duplicate", "late", "invalid", "discarded")
_COUNTED: Final = {
    "accepted": "receiver_accepted_items",
    "rejected": "receiver_rejected_items",
    "refused": "receiver_refused_items",
    "taken": "processor_received_items",
    "handed_back": "processor_refused_items",
    "poison": "processor_poison_items",
    **{name: f"processor_{name}_items" for name in _SETTLED},
}
_ADDED: Final = ("spill_batches", "spill_bytes", "processor_series", "processor_metric_series", "storage_due_rollups")
_SMALLEST: Final = ("storage_free_bytes", "processor_series_limit", "processor_metric_series_limit")
_LARGEST: Final = (
    *("processor_lag_s", "canary_last_s", "canary_p50_s", "canary_p95_s", "rabbit_queue_batches"),
    *("rabbit_dead_letters", "storage_database_bytes", "storage_min_free_bytes", "storage_warn_free_bytes"),
    *("storage_max_database_bytes", "rabbit_source_connected"),
)
_TIERS: Final = ("finest", "medium", "coarse", "traces")


def sums_of(reports: Iterable[ProcessReport]) -> Sums:
    """Add up what all processes counted, living and gone."""
    sums: Sums = {signal.value: dict.fromkeys((*_COUNTED, "direct", "dead_lettered", "queued"), 0) for signal in Signal}
    for report in reports:
        figures = report.figures
        has_queue = any(name.startswith("rabbit_source_") for name, _ in figures.counters)
        exports = any(name.startswith("exporter_") for name, _ in figures.counters)
        for signal, into in sums.items():
            counts = {of: _count(figures, name, signal) for of, name in _COUNTED.items()}
            for of, count in counts.items():
                into[of] += count
            # Without a queue the sender of poison is told so, and the receiver counts it as rejected.
            into["dead_lettered"] += counts["poison"] if has_queue else 0
            into["queued"] += counts["accepted"] if exports else 0
            # Taken by a receiver that was killed, which counted them or not, and handed to the processor once more.
            into["direct"] += _count(figures, "forward_asked_again_items", signal)
        if not exports and _count(figures, "processor_received_items", None):
            # Container statistics in the same process hand theirs straight to the processor.
            sums["metrics"]["direct"] += _count(figures, "container_stats_sent_points", None)
    return sums


def flows_of(
    before: Mapping[str, Mapping[str, int]],
    now: Sums,
    *,
    is_something_waiting: bool,
    tolerance_s: float,
    recent: Mapping[str, float],
    lost_process: bool,
) -> tuple[SignalFlow, ...]:
    """Return the flows between two sums.

    `is_something_waiting` says that items may lie between a receiver and a processor; `lost_process` that one ended
    without its last report meanwhile; `recent` is how many items came lately per second, by signal, by which what comes
    between two reports is judged.
    """
    flows = []
    for signal, counts in now.items():
        base = before.get(signal, {})
        delta = {of: max(count - base.get(of, 0), 0) for of, count in counts.items()}
        settled = sum(delta[of] for of in _SETTLED)
        accepted = delta["accepted"] + delta["direct"]
        # Said by the receivers less what the processors settled; with a queue between, it may be on its way.
        open_items = accepted - settled - delta["dead_lettered"]
        in_hand = max(delta["taken"] - settled - delta["poison"] - delta["handed_back"], 0)
        tolerance = math.ceil(recent.get(signal, 0.0) * tolerance_s) if delta["queued"] else in_hand
        if delta["queued"]:
            in_flight = max(open_items if is_something_waiting else min(open_items, in_hand), 0)
            received = accepted + delta["rejected"]
        else:
            in_flight = in_hand
            received = accepted + delta["rejected"] + in_hand
        unexplained = open_items - (in_flight if delta["queued"] else 0)
        balance = _balance(unexplained, in_flight, tolerance, lost_process=lost_process)
        flows.append(
            SignalFlow(
                signal,
                received=received,
                stored=delta["stored"],
                duplicate=delta["duplicate"],
                late=delta["late"],
                invalid=delta["invalid"],
                discarded=delta["discarded"],
                rejected=delta["rejected"],
                dead_lettered=delta["dead_lettered"],
                refused=delta["refused"],
                in_flight=in_flight,
                unexplained=unexplained,
                tolerance=tolerance,
                balance=balance,
            )
        )
    return tuple(flows)


def rates_between(before: Mapping[str, Mapping[str, int]], now: Sums, seconds: float) -> dict[str, float]:
    """Return per signal how many items were accepted per second."""
    return {
        signal: max(counts["accepted"] - before.get(signal, {}).get("accepted", 0), 0) / max(seconds, 1.0)
        for signal, counts in now.items()
    }


def _balance(unexplained: int, in_flight: int, tolerance: int, *, lost_process: bool) -> Balance:
    if abs(unexplained) <= tolerance:
        return "in_flight" if in_flight else "balanced"
    if lost_process:
        return "uncertain"
    return "missing" if unexplained > 0 else "surplus"


def gauges_of(reports: Sequence[ProcessReport]) -> dict[str, float]:
    """Return what living processes hold together: added up, or the largest or smallest that one of them reads."""
    found: dict[str, list[float]] = {}
    for report in reports:
        for (name, _), value in report.figures.gauges.items():
            found.setdefault(name, []).append(value)
    ways: list[tuple[tuple[str, ...], Any]] = [(_ADDED, sum), (_SMALLEST, min), (_LARGEST, max)]
    return {name: float(way(found[name])) for names, way in ways for name in names if name in found}


def tiers_of(reports: Sequence[ProcessReport]) -> tuple[TierUse, ...]:
    """Return what each tier takes up, as living processes say; each of them sees the same database."""
    found: dict[str, dict[str, float]] = {"storage_tier_retention_s": {}, "storage_tier_bytes": {}}
    for report in reports:
        for (name, labels), value in report.figures.gauges.items():
            if name in found:
                tier = dict(labels).get("tier", "")
                found[name][tier] = max(found[name].get(tier, 0.0), value)
    retention_s, size_bytes = found.values()
    return tuple(
        TierUse(tier, int(retention_s[tier]), int(size_bytes[tier]) if tier in size_bytes else None)
        for tier in _TIERS
        if tier in retention_s
    )


def living(reports: Iterable[ProcessReport], now_ms: int) -> list[ProcessReport]:
    """Return the reports of processes that were heard of within the last seconds and have not ended."""
    return [one for one in reports if not one.has_ended and now_ms - one.noted_ms <= 1000 * SILENT_AFTER_S]


def course_text(reports: Sequence[ProcessReport], now_ms: int) -> str | None:
    """Return what the course keeps of this moment, `None` when nobody has reported."""
    if not reports:
        return None
    return json.dumps({"sums": sums_of(reports), "gauges": gauges_of(living(reports, now_ms))})


def _count(figures: Figures, name: str, signal: str | None) -> int:
    return sum(
        count
        for (known, labels), count in figures.counters.items()
        if known == name and (signal is None or ("signal", signal) in labels)
    )
