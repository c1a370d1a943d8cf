"""What every component reports of itself: items received, sent, failed and dropped, and what it holds now.

Components add to the counters they are given; `modelwatch/` owns them, `api/` shows them.
"""

from __future__ import annotations

import itertools
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

from telemetry.series_overflow import SeriesOverflow

Labels = tuple[tuple[str, str], ...]
"""Label names and values, sorted by name."""

CounterName = Literal[
    # otlp_receiver: items of requests that were answered with success, with a retryable refusal, or rejected for good
    "receiver_accepted_items",
    "receiver_refused_items",
    "receiver_rejected_items",
    "receiver_refused_requests",  # refused before they were read, so that their items cannot be counted
    "receiver_rejected_requests",  # rejected for good, and the items cannot be counted because they cannot be read
    "receiver_refused_connections",  # closed at once because too many were open; no request was read from them
    "receiver_received_bytes",  # of request bodies, whatever became of them; gRPC hands them over decompressed
    # rabbit_exporter
    "exporter_published_batches",
    "exporter_failed_batches",
    "exporter_reconnects",
    # rabbit_exporter's spill: batches written to disk and drained to RabbitMQ again;
    # written + recovered = drained + held, but for what is quarantined
    "spill_written_batches",
    "spill_written_items",
    "spill_recovered_batches",  # found on the disk at the start, or taken over from a dead process
    "spill_drained_batches",
    "spill_drained_items",
    "spill_refused_batches",  # neither RabbitMQ nor the spill could take them: refused as retryable
    "spill_quarantined_records",  # stretches that cannot be read and batches that RabbitMQ never takes, kept aside
    # processor: received = stored + invalid + late + duplicate + poison + refused + discarded + in hand
    "processor_received_items",
    "processor_received_batches",
    "processor_stored_items",
    "processor_duplicate_items",
    "processor_duplicate_batches",
    "processor_poison_items",
    "processor_poison_batches",
    "processor_refused_items",  # answered as retryable: no room, stopping, or the commit failed
    "processor_failed_commits",
    "processor_skipped_items",  # stored as part of a batch, but nothing is derived from it: other spans, metric gaps
    "processor_excluded_items",  # stored as part of a batch, but left out of RED figures by a rule, such as probes
    "processor_clamped_items",  # stored, with a duration of zero: spans that start after their end
    "processor_invalid_items",  # set aside because the item itself is impossible, such as a span that ends before 1970
    "processor_late_items",  # set aside because they ended longer ago than late data is taken in
    "processor_discarded_items",  # taken and not kept: log records
    "processor_discarded_points",  # not items: stored metric items, by series and second, beyond the limit of series
    "processor_kept_spans",  # stored spans of which a record is kept for traces, by `kept_as`
    "processor_unkept_spans",  # stored spans of which none is
    "rabbit_source_dead_lettered_batches",
    "rabbit_source_requeued_batches",
    "rabbit_source_lone_attempts",  # at batches that came back too often, made while nothing else was worked on
    "rabbit_source_reconnects",
    # storage
    "live_feed_resets",
    "live_feed_failures",
    "storage_rolled_up_buckets",
    "storage_expired_rows",  # deleted one by one: points on SQLite, batch ids and series on either database
    "storage_dropped_partitions",  # of points that were past their age or had to go, on PostgreSQL
    "storage_clock_doubts",  # rounds that deleted nothing for its age, as the clock is not to be believed
    "storage_thinnings",  # times that the oldest points were deleted before their age, because space was short
    # alerting
    "alerting_evaluations",  # of one rule for one group
    "alerting_failed_evaluations",  # of one rule, that could not be judged: a question failed, or is not allowed
    "alerting_frozen_evaluations",  # of one rule, left as it was because the data cannot be trusted
    "alerting_transitions",
    "alerting_notifications",  # put into the outbox, each once for every channel
    "alerting_sent_notifications",
    "alerting_messages",  # taken by a channel; those of one moment are one message
    "alerting_retried_notifications",
    "alerting_failed_notifications",
    "alerting_takeovers",
    # access
    "access_logins",
    "access_failed_logins",  # a name and a password that do not belong together
    "access_throttled_logins",  # refused before the password was looked at, as there were too many attempts
    # container_stats, in points: made = sent + refused + dropped + waiting; rejected ones are among those sent
    "container_stats_points",
    "container_stats_sent_points",
    "container_stats_rejected_points",  # by the endpoint, out of requests that it took
    "container_stats_refused_points",  # of requests that the endpoint refused for good
    "container_stats_dropped_points",  # the oldest, because too many waited for the endpoint
    "container_stats_retries",  # requests that failed for now
    "container_stats_failed_samples",
    "container_stats_missed_samples",  # of a running container, of which the engine told nothing in time
    "container_stats_engine_reconnects",
    # dash_app: open pages that are fed over WebSockets
    "pages_pushed_answers",  # each made once, for all pages that ask the same
    "pages_sent_updates",
    "pages_sent_bytes",  # as sent, compressed
    "pages_skipped_updates",  # not sent, because the page had not shown the one before yet
    "live_refused_connections",  # WebSockets of the API that were refused as too many were open
    "pages_refused_connections",
    # self_watch: sent = seen + lost + under way
    "canary_sent_spans",
    "canary_seen_spans",
    "canary_lost_spans",  # not taken by the receiver, or not seen at the query in time
    # otlp_exporter, by target and signal, in items: handed over = sent + rejected + refused + dropped + filtered +
    # duplicate + circled + in hand
    "forward_sent_batches",
    "forward_sent_items",
    "forward_sent_bytes",  # before compression
    "forward_rejected_items",  # by the target, out of requests that it took
    "forward_refused_items",  # of requests that the target refused for good; set aside
    "forward_asked_again_items",
    "forward_dropped_items",  # by reason: full, expired, disk, unreadable, removed
    "forward_filtered_items",  # of services that the target does not get
    "forward_duplicate_items",  # of batches that the target took before, by their content
    "forward_circled_items",  # that came back to us, or through too many others, by reason: returned, hops
    "forward_failed_attempts",  # requests, by target and cause; those that failed for now are made again
    "forward_reconnects",
    "forward_process_restarts",  # of the process that sends, in the embedded size
    "forward_derived_rounds",  # exports of derived metrics that are in the queue of their target
    "forward_derived_failures",
    # modelwatch: a receiver of several processes
    "worker_restarts",
]

GaugeName = Literal[
    "processor_lag_s",
    "processor_series",
    "processor_series_limit",
    "processor_overflowing_services",
    "processor_metric_series",
    "processor_metric_series_limit",
    "processor_metric_overflowing_services",
    "processor_trace_ratio",
    "receiver_in_flight_requests",
    "receiver_in_flight_bytes",
    "exporter_connected",
    "exporter_spilling",
    "spill_batches",
    "spill_bytes",
    "forward_is_failing",
    "forward_backlog_batches",
    "forward_backlog_bytes",
    "forward_backlog_oldest_s",
    "forward_in_hand_batches",
    "forward_last_success_unix_s",
    "forward_last_failure_unix_s",
    "workers_ready",
    "storage_due_rollups",
    "storage_database_bytes",
    "storage_tier_bytes",
    "storage_tier_retention_s",
    "storage_free_bytes",
    "storage_warn_free_bytes",
    "storage_min_free_bytes",
    "storage_max_database_bytes",
    "storage_clock_skew_s",
    "rabbit_source_connected",
    "rabbit_queue_batches",
    "rabbit_dead_letters",
    "canary_last_s",
    "canary_p50_s",
    "canary_p95_s",
    "container_stats_containers",
    "container_stats_unwatched_containers",
    "container_stats_processes",
    "container_stats_engine_connected",
    "container_stats_waiting_bytes",
    "alerting_is_evaluator",
    "alerting_firing",
    "alerting_no_data",
    "alerting_round_seconds",
    "live_connections",
    "live_questions",
    "pages_connections",
    "pages_questions",
    "access_sessions",
]
FigureName = CounterName | GaugeName

HELP: Final[Mapping[FigureName, str]] = MappingProxyType(
    {
        "receiver_accepted_items": "Items of requests that were answered with success: safe at the next stage.",
        "receiver_refused_items": "Items of requests that were refused for now, to be sent again.",
        "receiver_rejected_items": "Items that were rejected for good, because they or their request are invalid.",
        "receiver_refused_requests": "Requests refused for now before their items could be counted.",
        "receiver_rejected_requests": "Requests rejected for good whose items cannot be counted.",
        "receiver_refused_connections": "Connections refused for now because too many were open.",
        "receiver_received_bytes": "Bytes of request bodies: as sent over HTTP, decompressed over gRPC.",
        "exporter_published_batches": "Batches that RabbitMQ confirmed at once, without the spill.",
        "exporter_failed_batches": "Batches that were refused, for now or for good.",
        "exporter_reconnects": "Connections of the exporter to RabbitMQ that were lost and came back.",
        "spill_written_batches": "Batches written to the spill because RabbitMQ could not take them.",
        "spill_written_items": "Items of the batches written to the spill.",
        "spill_recovered_batches": "Batches found in the spill at the start, or taken over from a dead process.",
        "spill_drained_batches": "Batches of the spill that RabbitMQ confirmed later.",
        "spill_drained_items": "Items of the batches of the spill that RabbitMQ confirmed later.",
        "spill_refused_batches": "Batches that neither RabbitMQ nor the spill could take, refused for now.",
        "spill_quarantined_records": "Stretches of the spill kept aside: unreadable, or never taken by RabbitMQ.",
        "processor_received_items": "Items that reached the processor.",
        "processor_received_batches": "Batches that reached the processor.",
        "processor_stored_items": "Items whose figures are committed to the history.",
        "processor_duplicate_items": "Items of batches that had been stored before.",
        "processor_duplicate_batches": "Batches that had been stored before.",
        "processor_poison_items": "Items of batches that can never be stored.",
        "processor_poison_batches": "Batches that can never be stored.",
        "processor_refused_items": "Items handed back for now: no room, stopping, or a commit that failed.",
        "processor_failed_commits": "Commits to the history that failed.",
        "processor_skipped_items": "Stored items that no figures are derived from: other spans, gaps in metrics.",
        "processor_excluded_items": "Stored items that a rule leaves out of RED figures, such as health probes.",
        "processor_clamped_items": "Stored spans that start after their end, which have a duration of zero.",
        "processor_late_items": "Items set aside because they ended too long ago.",
        "processor_invalid_items": "Items set aside because they are impossible by themselves.",
        "processor_discarded_items": "Items that were taken and are not kept: log records.",
        "processor_kept_spans": "Stored spans of which a record is kept for traces, by what it is kept for.",
        "processor_unkept_spans": "Stored spans that count in figures and of which no record is kept for traces.",
        "processor_discarded_points": "Points of metrics beyond the limit of series that could not be added up.",
        "rabbit_source_dead_lettered_batches": "Batches moved to the queue of dead letters.",
        "rabbit_source_requeued_batches": "Batches given back to RabbitMQ unfinished at a stop.",
        "rabbit_source_lone_attempts": "Attempts made alone, at batches that had come back unacknowledged.",
        "rabbit_source_reconnects": "Connections of the source to RabbitMQ that were lost and came back.",
        "live_feed_resets": "Times that the live window had to begin anew.",
        "live_feed_failures": "Failures to write or to read the live feed.",
        "storage_rolled_up_buckets": "Buckets of the history that were rolled up into the next tier.",
        "storage_expired_rows": "Rows of the history that were deleted one by one.",
        "storage_dropped_partitions": "Partitions of the history that were dropped, on PostgreSQL.",
        "storage_clock_doubts": "Rounds in which nothing was deleted for its age, as the clock is not to be believed.",
        "storage_thinnings": "Times that the oldest points were deleted before their age, because space was short.",
        "access_logins": "Logins with the right password.",
        "access_failed_logins": "Logins with a name and a password that do not belong together.",
        "access_throttled_logins": "Logins refused unchecked, because there were too many attempts.",
        "container_stats_points": "Points of metrics made of containers and processes.",
        "container_stats_sent_points": "Those that the receiver, or the endpoint, has taken.",
        "container_stats_rejected_points": "Points that the endpoint rejected out of requests that it took.",
        "container_stats_refused_points": "Points of requests that were refused for good.",
        "container_stats_dropped_points": "Points dropped because too many waited to be sent; the oldest.",
        "container_stats_retries": "Requests that failed for now and were sent again.",
        "container_stats_failed_samples": "Samples of containers and processes that failed as a whole.",
        "container_stats_missed_samples": "Samples of a running container without anything new from the engine.",
        "container_stats_engine_reconnects": "Connections to the container engine that were lost and came back.",
        "container_stats_containers": "Containers that are watched.",
        "container_stats_unwatched_containers": "Containers beyond the limit, which are not watched.",
        "container_stats_processes": "Processes that are watched.",
        "container_stats_engine_connected": "Whether the container engine answers.",
        "container_stats_waiting_bytes": "Bytes of metrics that wait to be sent.",
        "storage_due_rollups": "Buckets that hold points which the next tier does not have yet.",
        "storage_database_bytes": "Size of the history's database.",
        "storage_tier_bytes": "Size of a tier of the history, or of the kept spans, by tier, indexes included.",
        "storage_tier_retention_s": "Seconds for which a tier of the history, or kept spans, are kept, by tier.",
        "storage_free_bytes": "Bytes that the SQLite file may still grow by, pages that it has free included.",
        "alerting_evaluations": "Evaluations of one alert rule for one group.",
        "alerting_failed_evaluations": "Evaluations of one alert rule that failed, such as for a question too large.",
        "alerting_frozen_evaluations": "Evaluations of one alert rule left out because the data cannot be trusted.",
        "alerting_transitions": "Changes of the state of an alert.",
        "alerting_notifications": "Notifications put into the outbox, each once for every channel.",
        "alerting_sent_notifications": "Notifications that a channel has taken, by channel.",
        "alerting_messages": "Messages that a channel has taken; notifications of one moment leave as one message.",
        "alerting_retried_notifications": "Attempts to deliver a notification that failed and will be made again.",
        "alerting_failed_notifications": "Notifications that were given up.",
        "alerting_takeovers": "Times that this process took over the evaluation of alerts.",
        "alerting_is_evaluator": "1 while this process is the one that evaluates alerts.",
        "alerting_firing": "Alerts that are firing now, as the process that evaluates them knows.",
        "alerting_no_data": "Alerts that fired until there was nothing to judge, as that process knows.",
        "alerting_round_seconds": "Seconds that the last round of evaluation took.",
        "pages_pushed_answers": "Answers made for open pages, each once for all pages that ask the same.",
        "pages_sent_updates": "Updates sent to open pages over their WebSockets.",
        "pages_sent_bytes": "Bytes of the updates sent to open pages, as they are sent.",
        "pages_skipped_updates": "Updates left out because a page had not shown the one before.",
        "live_refused_connections": "WebSockets at /api/v1/live that were refused, as too many were open.",
        "live_connections": "WebSockets at /api/v1/live that are open now.",
        "live_questions": "Different questions that they follow now.",
        "pages_refused_connections": "WebSockets of pages that were refused, by reason.",
        "pages_connections": "WebSockets of open pages now; hidden and paused pages keep theirs.",
        "pages_questions": "Different questions that open pages follow now.",
        "storage_clock_skew_s": "Seconds that this machine's clock is ahead of PostgreSQL's; negative behind it.",
        "worker_restarts": "Worker processes of the receiver that ended by themselves and were started again.",
        "canary_sent_spans": "Spans that ModelWatch sent through itself to measure its freshness.",
        "canary_seen_spans": "Those that were seen at the query.",
        "canary_lost_spans": "Those that the receiver did not take, or that were not seen at the query in time.",
        "canary_last_s": "Seconds from the end of the latest of these spans that was seen until it could be read.",
        "canary_p50_s": "The median of the same over the last five minutes.",
        "canary_p95_s": "The 95th percentile of the same over the last five minutes; a lost one counts as its wait.",
        "processor_lag_s": "Age in seconds of the oldest batch in hand, since it was received.",
        "processor_series_limit": "Most series that the processor keeps apart.",
        "processor_metric_series_limit": "Most series of metrics that the processor keeps apart.",
        "storage_warn_free_bytes": "Free bytes below which a warning is logged.",
        "storage_min_free_bytes": "Free bytes below which the oldest figures are deleted before their age.",
        "storage_max_database_bytes": "Size of the database beyond which the oldest figures are deleted.",
        "rabbit_source_connected": "1 while the processor has a connection to RabbitMQ.",
        "rabbit_queue_batches": "Batches that wait in RabbitMQ for a processor.",
        "rabbit_dead_letters": "Batches that wait among the dead letters.",
        "processor_series": "Series that the processor keeps apart now.",
        "processor_overflowing_services": "Services with more series than are kept apart now.",
        "processor_metric_series": "Series of metrics that the processor keeps apart now.",
        "processor_metric_overflowing_services": "Services with more series of metrics than are kept apart now.",
        "processor_trace_ratio": "Share of all traces that this processor keeps now, errors and slow requests aside.",
        "receiver_in_flight_requests": "Requests being read or waiting for the next stage now.",
        "receiver_in_flight_bytes": "Bytes of the requests in flight now.",
        "exporter_connected": "1 while the exporter has a connection to RabbitMQ; added up over workers.",
        "exporter_spilling": "1 while batches go to the spill instead of RabbitMQ; added up over workers.",
        "spill_batches": "Batches that wait in the spill now.",
        "spill_bytes": "Bytes that the spill takes on the disk now.",
        "forward_sent_batches": "Batches that a target of forwarding took.",
        "forward_sent_items": "Items that a target of forwarding took.",
        "forward_sent_bytes": "Bytes that a target of forwarding took, before compression.",
        "forward_rejected_items": "Items that a target rejected out of requests that it took.",
        "forward_refused_items": "Items of requests that a target refused for good; they are set aside.",
        "forward_asked_again_items": "Items taken in when a process was killed, offered to the history again since.",
        "forward_dropped_items": "Items that a target does not get: too many, too old, damaged, or it was taken out.",
        "forward_filtered_items": "Items of services that a target does not get.",
        "forward_duplicate_items": "Items of batches with the same content as one that the target took before.",
        "forward_circled_items": "Items that were forwarded before, by us or by too many others, and go no further.",
        "forward_failed_attempts": "Requests that a target did not take, by cause.",
        "forward_process_restarts": "Times that the process that forwards ended and was started again.",
        "forward_reconnects": "Connections of forwarding to RabbitMQ that were lost and came back.",
        "forward_derived_rounds": "Exports of derived metrics that reached the queue of their target.",
        "forward_derived_failures": "Attempts to export derived metrics that failed; they are made again.",
        "forward_is_failing": "1 while a target takes nothing.",
        "forward_backlog_batches": "Batches that wait for a target.",
        "forward_backlog_bytes": "Bytes that wait for a target; only without RabbitMQ.",
        "forward_backlog_oldest_s": "Age in seconds of the oldest batch that waits for a target, 0 without any.",
        "forward_in_hand_batches": "Batches on their way to a target, or waiting to be tried again.",
        "forward_last_success_unix_s": "Unix time at which a target took data last, 0 if it has not yet.",
        "forward_last_failure_unix_s": "Unix time at which a target failed or refused last, 0 if it has not yet.",
        "workers_ready": "Worker processes of the receiver that take requests now.",
        "access_sessions": "Sessions of users that have not ended.",
    }
)
"""What each figure means, in one sentence; Prometheus shows it beside the name."""


@dataclass(frozen=True)
class Figures:
    """What all counters and gauges read at one moment, by name and sorted labels."""

    counters: Mapping[tuple[CounterName, Labels], int] = field(default_factory=dict)
    gauges: Mapping[tuple[GaugeName, Labels], float] = field(default_factory=dict)
    overflows: Sequence[SeriesOverflow] = ()

    @classmethod
    def sum_of(cls, parts: Iterable[Figures]) -> Figures:
        """Add up figures of the same name and labels."""
        counters: defaultdict[tuple[CounterName, Labels], int] = defaultdict(int)
        gauges: defaultdict[tuple[GaugeName, Labels], float] = defaultdict(float)
        parts = list(parts)
        for part in parts:
            for counter, count in part.counters.items():
                counters[counter] += count
            for gauge, value in part.gauges.items():
                gauges[gauge] += value
        return cls(dict(counters), dict(gauges), tuple(overflow for part in parts for overflow in part.overflows))


class Counters:
    """Monotonic counters, safe to add to from any thread, and gauges, read when somebody looks.

    `labels` are few and bounded, such as `signal` or `transport`; never anything a client chooses.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: defaultdict[tuple[CounterName, Labels], int] = defaultdict(int)
        self._gauges: dict[tuple[GaugeName, Labels], Callable[[], float]] = {}
        self._read_overflows: Callable[[], Sequence[SeriesOverflow]] = tuple

    def add(self, name: CounterName, amount: int = 1, **labels: str) -> None:
        """Add `amount` to the counter `name` with these labels."""
        with self._lock:
            self._values[name, tuple(sorted(labels.items()))] += amount

    def declare(self, name: CounterName, **labels: Iterable[str]) -> None:
        """Let the counter read 0 for every combination of these label values, so that its first increase is seen."""
        for values in itertools.product(*labels.values()):
            self.add(name, 0, **dict(zip(labels, values, strict=True)))

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

    def forget(self, name: GaugeName, **labels: str) -> None:
        """Let the gauge be nothing any more, since nobody measures it."""
        with self._lock:
            self._gauges.pop((name, tuple(sorted(labels.items()))), None)

    def observe_overflows(self, read: Callable[[], Sequence[SeriesOverflow]]) -> None:
        """Let the figures tell of the services that `read` returns; it is called from whichever thread looks."""
        self._read_overflows = read

    def snapshot(self) -> dict[tuple[CounterName, Labels], int]:
        """Return a copy of all counters by name and sorted labels."""
        with self._lock:
            return dict(self._values)

    def gauges(self) -> dict[tuple[GaugeName, Labels], float]:
        """Return what all gauges read now, by name and sorted labels."""
        with self._lock:
            readers = dict(self._gauges)
        return {key: read() for key, read in readers.items()}

    def figures(self) -> Figures:
        """Return what counters and gauges read now."""
        return Figures(self.snapshot(), self.gauges(), self._read_overflows())
