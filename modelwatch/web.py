"""What serves people: the pages and the API behind the guard, and what watches the pipeline for them.

Beside `assembly.py`, which asks for it in roles that have them.
"""

from __future__ import annotations

import os
import socket

from access.component import build as build_access
from alerting.channels.desk import ChannelDesk
from alerting.desk import AlertDesk
from alerting.reading import Asking
from api.base_path import BasePath
from api.component import build as build_api
from api.web_server import WebServer
from dash_app.component import mount as mount_pages
from dash_app.pages import Sources
from dash_app.pipeline.dead_letters import DeadLetterDesk
from dash_app.settings import DashSettings
from modelwatch.assembled import Assembly
from modelwatch.canary import build_canary
from modelwatch.known_settings import known_settings
from modelwatch.settings import Settings
from modelwatch.urls import alerting_settings_of, broker_url_of
from query import Query, TraceQuery
from query.pipeline import PipelineQuery
from self_watch.canary import Canary
from self_watch.roll_call import RollCall
from storage.component import (
    build_access_store,
    build_alert_store,
    build_pipeline_course,
    build_process_reports,
    build_setting_changes,
)
from storage.history import SqlHistory
from tuning.desk import TuningDesk


def add_web(made: Assembly, settings: Settings, history: SqlHistory, asking: Asking) -> None:
    """Add the pages, the API and their server, which nobody reaches past the guard."""
    query, metrics, resources = asking
    pipeline = PipelineQuery(build_process_reports(history), build_pipeline_course(history))
    _add_self_watch(made, settings, history, query)
    traces = TraceQuery(settings.query, query, history)
    alerts = alerting_settings_of(settings)
    desk = AlertDesk(alerts, build_alert_store(history), asking)
    made.tune(alerting_settings_of, desk.use)
    channels = ChannelDesk(alerts, build_alert_store(history))
    tuning = TuningDesk(made.tuning, build_setting_changes(history)) if made.tuning is not None else None
    app = build_api(
        settings.api,
        query,
        metrics,
        resources,
        made.counters,
        made.checks,
        alerts=desk,
        channels=channels,
        pipeline=pipeline,
        traces=traces,
        tuning=tuning,
    )
    sources = Sources(
        query,
        resources,
        alerts=desk,
        channels=channels,
        counters=made.counters,
        pipeline=pipeline,
        traces=traces,
        dead_letters=_dead_letters(settings),
        tuning=tuning,
        refresh_interval_s=lambda: (made.tuning.current if made.tuning else settings).dash.refresh_interval_s,
        stale_after_s=lambda: (made.tuning.current if made.tuning else settings).dash.stale_after_s,
        settings=known_settings(settings, os.environ),
    )
    api = settings.api
    mount_pages(app, _page_settings(settings), sources, base_path=api.base_path)
    store, is_free = build_access_store(history), api.allow_unauthenticated
    access = build_access(
        settings.access, store, made.counters, api.host, allow_unauthenticated=is_free, base_path=api.base_path
    )
    access.protect(app)
    if api.base_path:
        app.add_middleware(BasePath, base_path=api.base_path)
    made.add(access)
    server = made.add(
        WebServer(
            app,
            api.host,
            api.port,
            "MODELWATCH_API__PORT",
            allow_unauthenticated=True,  # who may come in is for `access` to say, which starts before
            shutdown_s=api.shutdown_s,
            tls=api.tls,
        )
    )
    made.listeners["page"] = lambda: api.url(api.host, server.port)


def _dead_letters(settings: Settings) -> DeadLetterDesk | None:
    if settings.broker_url is None:
        return None
    from modelwatch.dead_letter_desk import RabbitDeadLetters

    return RabbitDeadLetters(broker_url_of(settings), settings.rabbitmq)


def _page_settings(settings: Settings) -> DashSettings:
    """Return the settings of the pages, with the address of this receiver where no other is told to be sent to."""
    dash, receiver = settings.dash, settings.receiver
    if "otlp_endpoint" in dash.model_fields_set:
        return dash
    host = receiver.host
    # Who listens on every address is best reached by name; the wildcard itself is no address to send to.
    reachable = socket.gethostname() if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    scheme = "https" if receiver.tls_cert_file else "http"
    return dash.model_copy(update={"otlp_endpoint": f"{scheme}://{reachable}:{receiver.grpc_port}"})


def _add_self_watch(made: Assembly, settings: Settings, history: SqlHistory, query: Query) -> None:
    """Add the roll call, and the canary where it has a receiver to send to."""
    own = settings.self_watch
    made.add(RollCall(own, build_process_reports(history), build_pipeline_course(history)))
    receiver = made.listeners.get("otlp_http")
    for component in build_canary(settings, query, made.counters, receiver):
        made.add(component)
        if isinstance(component, Canary):
            made.tune(lambda now: now.self_watch, component.use)
