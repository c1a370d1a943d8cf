"""The table of pages: which there are, in the order of the navigation, and what they ask.

A page is a folder with one function that makes its `Page`; see "Add a page" in CONTRIBUTING.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from alerting.channels.desk import ChannelDesk
from alerting.desk import AlertDesk
from dash_app import alerts, configuration, containers, overview, pipeline, service, traces
from dash_app.configuration.known_setting import KnownSetting
from dash_app.marking import with_marks
from dash_app.pipeline.dead_letters import DeadLetterDesk
from dash_app.shared.alert_news import AlertNews
from dash_app.shell.page import Page
from query import Query, ResourceQuery, TraceQuery
from query.pipeline import PipelineQuery
from telemetry import Counters, NowNs
from tuning.desk import TuningDesk


@dataclass(frozen=True, slots=True)
class Sources:
    """Where pages get their answers from; each page takes what it needs."""

    query: Query
    resources: ResourceQuery
    now_ns: NowNs = time.time_ns
    alerts: AlertDesk | None = None
    """Without it there is no page of alerts, no badge, and no marks."""
    channels: ChannelDesk | None = None
    counters: Counters = field(default_factory=Counters)
    pipeline: PipelineQuery | None = None
    traces: TraceQuery | None = None
    settings: Sequence[KnownSetting] = ()
    dead_letters: DeadLetterDesk | None = None
    """Without it nothing is set aside: there is no RabbitMQ."""
    tuning: TuningDesk | None = None
    """Without it no setting can be changed on the page."""
    refresh_interval_s: Callable[[], float] | None = None
    """How often open pages are updated now, where that may change; else as the settings say."""
    stale_after_s: Callable[[], float] | None = None
    """Without a call for how long data counts as old now; likewise."""


def pages_of(sources: Sources, news: AlertNews | None = None) -> tuple[Page, ...]:
    """Return the pages; `news` is what their charts are marked with."""
    pages = [
        overview.page(sources.query, sources.resources),
        service.page(sources.query, sources.resources),
        containers.page(sources.resources),
    ]
    if sources.traces is not None:
        pages.append(traces.page(sources.traces, sources.query))
    if sources.alerts is not None:
        pages.append(alerts.page(sources.alerts, sources.channels, sources.now_ns))
    if sources.pipeline is not None:
        pages.append(pipeline.page(sources.pipeline, sources.dead_letters))
    if sources.settings:
        pages.append(configuration.page(sources.settings, sources.tuning, sources.now_ns))
    return tuple(pages if news is None else [with_marks(page, news) for page in pages])
