"""The series that a process shows from its start, at 0, so that their first increase is one.

Declared by `assembly` for each part that it makes; what a series means stands beside its name in `telemetry`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from telemetry import Counters, KeptAs, Signal
from telemetry.counters import CounterName

Source = Literal["receiver", "exporter", "processor", "rabbit_source", "containers"]

LabelValues = Mapping[str, tuple[str, ...]]

_ALONE: Final[LabelValues] = {}
_BY_SIGNAL: Final[LabelValues] = {"signal": tuple(signal.value for signal in Signal)}
_BY_SENDER: Final[LabelValues] = {**_BY_SIGNAL, "transport": ("grpc", "http")}

_SERIES: Final[Mapping[Source, Mapping[CounterName, LabelValues]]] = {
    "receiver": {
        "receiver_accepted_items": _BY_SENDER,
        "receiver_refused_items": _BY_SENDER,
        "receiver_rejected_items": _BY_SENDER,
        "receiver_refused_requests": _BY_SENDER,
        "receiver_rejected_requests": _BY_SENDER,
        "receiver_refused_connections": {"transport": ("http",)},
        "receiver_received_bytes": _BY_SENDER,
    },
    "exporter": {
        "exporter_published_batches": _BY_SIGNAL,
        "exporter_failed_batches": _BY_SIGNAL,
        "exporter_reconnects": _ALONE,
        "spill_written_batches": _BY_SIGNAL,
        "spill_written_items": _BY_SIGNAL,
        "spill_recovered_batches": _BY_SIGNAL,
        "spill_drained_batches": _BY_SIGNAL,
        "spill_drained_items": _BY_SIGNAL,
        "spill_refused_batches": _BY_SIGNAL,
        "spill_quarantined_records": _ALONE,
    },
    "processor": {
        "processor_received_items": _BY_SIGNAL,
        "processor_received_batches": _BY_SIGNAL,
        "processor_stored_items": _BY_SIGNAL,
        "processor_duplicate_items": _BY_SIGNAL,
        "processor_duplicate_batches": _BY_SIGNAL,
        "processor_poison_items": _BY_SIGNAL,
        "processor_poison_batches": _BY_SIGNAL,
        "processor_refused_items": _BY_SIGNAL,
        "processor_failed_commits": _ALONE,
        "processor_skipped_items": _BY_SIGNAL,
        "processor_excluded_items": _BY_SIGNAL,
        "processor_clamped_items": _BY_SIGNAL,
        "processor_late_items": _BY_SIGNAL,
        "processor_invalid_items": _BY_SIGNAL,
        "processor_discarded_items": _BY_SIGNAL,
        "processor_discarded_points": _ALONE,
        "processor_kept_spans": {"kept_as": tuple(KeptAs)},
        "processor_unkept_spans": _ALONE,
    },
    "rabbit_source": {
        "rabbit_source_dead_lettered_batches": _ALONE,
        "rabbit_source_requeued_batches": _ALONE,
        "rabbit_source_lone_attempts": _ALONE,
        "rabbit_source_reconnects": _ALONE,
    },
    "containers": {
        "container_stats_points": _ALONE,
        "container_stats_sent_points": _ALONE,
        "container_stats_rejected_points": _ALONE,
        "container_stats_refused_points": _ALONE,
        "container_stats_dropped_points": _ALONE,
        "container_stats_retries": _ALONE,
        "container_stats_failed_samples": _ALONE,
        "container_stats_missed_samples": _ALONE,
        "container_stats_engine_reconnects": _ALONE,
    },
}


def declare_series(counters: Counters, source: Source) -> None:
    """Let all series of one part of the process read 0 unless something was counted already."""
    for name, labels in _SERIES[source].items():
        counters.declare(name, **labels)
