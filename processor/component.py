"""Puts the processor together: batches in, committed RED points out.

`modelwatch/` calls `build` with the store it chose; the receiver or the RabbitMQ source hands batches to the result.
"""

from __future__ import annotations

import time

from processor.exclusions import excluder
from processor.group_commit import GroupCommit, RunInWorker
from processor.intake import Intake
from processor.path_templates import PathTemplates
from processor.series_limits import SeriesLimits
from processor.settings import ProcessorSettings
from processor.span_columns import SpanDecoder
from storage.ports import History, LiveFeed
from telemetry import Counters, NowNs


def build(
    settings: ProcessorSettings, history: History, live: LiveFeed, counters: Counters, now_ns: NowNs = time.time_ns
) -> Intake:
    """Return an intake that commits to `history` and publishes to `live`; both must be started before it."""

    limits = SeriesLimits(settings.max_series_per_service, settings.max_series, settings.series_idle_s, now_ns)
    counters.observe("processor_series", lambda: limits.series_count)
    counters.observe("processor_overflowing_services", lambda: limits.overflowing_count)
    counters.observe_overflows(limits.overflows)

    def make_group_commit(run_in_worker: RunInWorker) -> GroupCommit:
        return GroupCommit(
            build_decoder(settings),
            limits,
            history,
            live,
            counters,
            now_ns=now_ns,
            max_future_ns=int(settings.max_future_s * 1e9),
            max_late_ns=int(settings.max_late_s * 1e9),
            run_in_worker=run_in_worker,
        )

    return Intake(settings, live, counters, make_group_commit)


def build_decoder(settings: ProcessorSettings) -> SpanDecoder:
    """Return a decoder with the caches that the settings allow."""
    return SpanDecoder(
        text_limit_chars=settings.text_limit_chars,
        attribute_limit=settings.attribute_cache_size,
        resource_limit=settings.resource_cache_size,
        combination_limit=settings.combination_cache_size,
        paths=PathTemplates(settings.max_path_templates, settings.resource_cache_size),
        is_excluded=excluder(settings.excluded_routes),
    )
