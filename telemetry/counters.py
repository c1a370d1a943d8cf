"""What every component reports of itself: items received, sent, failed and dropped.

Components add to the counters they are given; `modelwatch/` owns them, `api/` shows them.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from typing import Literal

CounterName = Literal[
    # otlp_receiver: items of requests that were answered with success, with a retryable refusal, or rejected for good
    "receiver_accepted_items",
    "receiver_refused_items",
    "receiver_rejected_items",
    "receiver_refused_requests",  # refused before they were read, so that their items cannot be counted
    "receiver_rejected_requests",  # rejected for good, and the items cannot be counted because they cannot be read
    # rabbit_exporter
    "exporter_published_batches",
    "exporter_failed_batches",
    "exporter_reconnects",
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


class Counters:
    """Monotonic counters, safe to add to from any thread.

    `labels` are few and bounded, such as `signal` or `transport`; never anything a client chooses.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: defaultdict[tuple[CounterName, tuple[tuple[str, str], ...]], int] = defaultdict(int)

    def add(self, name: CounterName, amount: int = 1, **labels: str) -> None:
        """Add `amount` to the counter `name` with these labels."""
        with self._lock:
            self._values[name, tuple(sorted(labels.items()))] += amount

    def total(self, name: CounterName) -> int:
        """Return the counter's value over all labels."""
        with self._lock:
            return sum(value for (known, _), value in self._values.items() if known == name)

    def snapshot(self) -> dict[tuple[CounterName, tuple[tuple[str, str], ...]], int]:
        """Return a copy of all values by name and sorted labels."""
        with self._lock:
            return dict(self._values)
