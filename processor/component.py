"""Puts the processor together: batches in, committed RED and metric points out.

`modelwatch/` calls `build` with the store it chose; the receiver or the RabbitMQ source hands batches to the result.
"""

from __future__ import annotations

import time

from processor.exclusions import excluder
from processor.group_commit import GroupCommit, RunInWorker
from processor.intake import Intake
from processor.metric_decoder import MetricDecoder
from processor.metric_series_limits import MetricSeriesLimits
from processor.path_templates import PathTemplates
from processor.reading import Reading
from processor.red_series_limits import RedSeriesLimits
from processor.settings import ProcessorSettings
from processor.span_columns import SpanDecoder
from processor.trace_keeper import TraceKeeper
from storage.ports import History, LiveFeed
from telemetry import Counters, NowNs


def build(
    settings: ProcessorSettings, history: History, live: LiveFeed, counters: Counters, now_ns: NowNs = time.time_ns
) -> Intake:
    """Return an intake that commits to `history` and publishes to `live`; both must be started before it."""

    limits = RedSeriesLimits(
        settings.max_series_per_service, settings.max_series, settings.max_late_services, settings.series_idle_s, now_ns
    )
    metric_limits = MetricSeriesLimits(
        settings.max_metric_series_per_service,
        settings.max_metric_series,
        settings.metric_series_idle_s,
        now_ns,
        counters,
    )
    keeper = TraceKeeper(settings.traces, settings.text_limit_chars, now_ns)
    counters.observe("processor_trace_ratio", lambda: keeper.ratio)
    counters.observe("processor_series", lambda: limits.series_count)
    counters.observe("processor_series_limit", lambda: limits.max_series)
    counters.observe("processor_metric_series_limit", lambda: metric_limits.max_series)
    counters.observe("processor_overflowing_services", lambda: limits.overflowing_count)
    counters.observe("processor_metric_series", lambda: metric_limits.series_count)
    counters.observe("processor_metric_overflowing_services", lambda: metric_limits.overflowing_count)
    counters.observe_overflows(lambda: [*limits.overflows(), *metric_limits.overflows()])

    def make_group_commit(run_in_worker: RunInWorker) -> GroupCommit:
        reading = Reading(
            build_decoder(settings, keeper),
            build_metric_decoder(settings),
            limits,
            metric_limits,
            now_ns=now_ns,
            max_future_ns=int(settings.max_future_s * 1e9),
            max_late_ns=int(settings.max_late_s * 1e9),
        )
        return GroupCommit(reading, history, live, counters, run_in_worker=run_in_worker)

    def use_limits(now: ProcessorSettings) -> None:
        limits.allow(now.max_series_per_service, now.max_series)
        metric_limits.allow(now.max_metric_series_per_service, now.max_metric_series)

    return Intake(settings, live, counters, make_group_commit, keeper, use_limits)


def build_decoder(settings: ProcessorSettings, keeper: TraceKeeper | None = None) -> SpanDecoder:
    """Return a decoder with the caches that the settings allow; without a keeper it keeps no span for traces."""
    return SpanDecoder(
        text_limit_chars=settings.text_limit_chars,
        attribute_limit=settings.attribute_cache_size,
        resource_limit=settings.resource_cache_size,
        combination_limit=settings.combination_cache_size,
        paths=PathTemplates(settings.max_path_templates, settings.resource_cache_size),
        is_excluded=excluder(settings.excluded_routes),
        keep=keeper.keep if keeper is not None else lambda _seen: (),
    )


def build_metric_decoder(settings: ProcessorSettings) -> MetricDecoder:
    """Return a decoder of metrics with the memory that the settings allow."""
    return MetricDecoder(
        text_limit_chars=settings.text_limit_chars,
        series_limit=settings.metric_series_cache_size,
        resource_limit=settings.resource_cache_size,
        resource_keys=settings.metric_resource_labels,
    )
