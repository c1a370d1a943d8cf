"""What every component reports of itself: items received, sent, failed and dropped, and what it holds now.

Components add to the counters they are given; `modelwatch/` owns them, `api/` shows them.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from typing import Literal

Labels = tuple[tuple[str, str], ...]
"""Label names and values, sorted by name."""

CounterName = Literal[
    # otlp_receiver: items of requests that were answered with success, with a retryable refusal, or rejected for good
    "receiver_accepted_items",
    "receiver_refused_items",
    "receiver_rejected_items",
    "receiver_refused_requests",  # refused before they were read, so that their items cannot be counted
    "receiver_rejected_requests",  # rejected for good, and the items cannot be counted because they cannot be read
    "receiver_received_bytes",  # of request bodies as they were sent, compressed or not, whatever became of them
    # rabbit_exporter
    "exporter_published_batches",
    "exporter_failed_batches",
    "exporter_reconnects",
    # rabbit_exporter's spill: batches written to disk and drained to RabbitMQ again; written = drained + held
    "spill_written_batches",
    "spill_written_items",
    "spill_drained_batches",
    "spill_drained_items",
    "spill_refused_batches",  # neither RabbitMQ nor the spill could take them: refused as retryable
    "spill_quarantined_records",  # stretches of the spill that could not be read, kept aside for inspection
    # processor: received = stored + invalid + duplicate + poison + refused + in hand
    "processor_received_items",
    "processor_received_batches",
    "processor_stored_items",
    "processor_duplicate_items",
    "processor_duplicate_batches",
    "processor_poison_items",
    "processor_poison_batches",
    "processor_refused_items",  # answered as retryable: no room, stopping, or the commit failed
    "processor_failed_commits",
    "processor_skipped_items",  # stored as part of a batch, but of a kind that RED figures are not derived from
    "processor_invalid_items",  # set aside because the item itself is impossible, such as a span that ends before 1970
    "rabbit_source_dead_lettered_batches",
    "rabbit_source_requeued_batches",
    "rabbit_source_reconnects",
    # storage
    "live_feed_resets",
    "live_feed_failures",
]

GaugeName = Literal[
    "receiver_in_flight_requests",
    "receiver_in_flight_bytes",
    "spill_batches",
    "spill_bytes",
]


class Counters:
    """Monotonic counters, safe to add to from any thread, and gauges, read when somebody looks.

    `labels` are few and bounded, such as `signal` or `transport`; never anything a client chooses.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: defaultdict[tuple[CounterName, Labels], int] = defaultdict(int)
        self._gauges: dict[tuple[GaugeName, Labels], Callable[[], float]] = {}

    def add(self, name: CounterName, amount: int = 1, **labels: str) -> None:
        """Add `amount` to the counter `name` with these labels."""
        with self._lock:
            self._values[name, tuple(sorted(labels.items()))] += amount

    def total(self, name: CounterName) -> int:
        """Return the counter's value over all labels."""
        with self._lock:
            return sum(value for (known, _), value in self._values.items() if known == name)

    def observe(self, name: GaugeName, read: Callable[[], float], **labels: str) -> None:
        """Let the gauge `name` with these labels be what `read` returns; a later call takes the place of an earlier.

        `read` must be quick and must not raise; it is called from whichever thread looks.
        """
        with self._lock:
            self._gauges[name, tuple(sorted(labels.items()))] = read

    def snapshot(self) -> dict[tuple[CounterName, Labels], int]:
        """Return a copy of all counters by name and sorted labels."""
        with self._lock:
            return dict(self._values)

    def gauges(self) -> dict[tuple[GaugeName, Labels], float]:
        """Return what all gauges read now, by name and sorted labels."""
        with self._lock:
            readers = dict(self._gauges)
        return {key: read() for key, read in readers.items()}
