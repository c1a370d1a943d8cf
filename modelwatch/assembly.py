"""The assembly of components from the settings, the parts of a role connected with each other.

Only here and in `assembled.py` is it known which part stands behind which URL. Rooms are imported where their part is
made: a role loads what it runs and no more, which makes a receiver's process 65 MB smaller, a processor's 40 MB.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from pydantic import SecretStr

from modelwatch.assembled import Assembly, build_history, connected
from modelwatch.declared_series import declare_series
from modelwatch.settings import Settings
from modelwatch.urls import POSTGRES, alerting_settings_of, broker_url_of, history_url_of, live_url_of
from telemetry import Consumer, Counters, StartError

if TYPE_CHECKING:
    from alerting.reading import Asking
    from otlp_receiver.settings import ReceiverSettings
    from storage.history import SqlHistory
    from storage.ports import LiveFeed

Part = Literal["receiver", "processor", "web", "alerts", "containers", "exporter"]


def assemble(parts: frozenset[Part], settings: Settings, role: str = "up") -> Assembly:
    """Return the components of these parts, connected and not yet started. Raises `StartError`."""
    made = Assembly()
    history = live = None
    if parts & {"processor", "web", "alerts"}:
        if _has_own_live_feed(settings, parts):
            _add_folder_lock(made, settings)
        history = made.add(build_history(settings))
        made.checks["history"] = history.check
        from modelwatch.own_report import add_reporter

        add_reporter(made, settings, history, role)
        from modelwatch.tunables import add_tuning

        add_tuning(made, settings, history)
        live = made.add(_live_feed(settings, made.counters, parts))
        made.tune(lambda now: now.storage, live.use)
    intake = _add_processor(made, settings, history, live) if history and live and "processor" in parts else None
    consumer: Consumer | None = None
    if "receiver" in parts:
        consumer = intake if intake and not settings.broker_url else _add_exporter(made, settings)
        if "exporter" in parts:
            from modelwatch.forwarding import with_forwarding

            consumer = with_forwarding(made, settings, history, consumer)
        _add_receiver(made, settings, consumer)
    elif intake is not None and not settings.broker_url:
        raise StartError("the processor needs RabbitMQ to take its data from: set MODELWATCH_BROKER_URL=amqp://...")
    if parts == {"containers"} or ("containers" in parts and settings.containers.is_enabled):
        _add_containers(made, settings, consumer, history)
    if "exporter" in parts and settings.broker_url:
        from modelwatch.forwarding import add_forwarding

        add_forwarding(made, settings, history)
    elif parts == {"exporter"}:
        raise StartError(
            "the exporter takes its data from RabbitMQ: set MODELWATCH_BROKER_URL=amqp://...; `up` needs none"
        )
    if history and live and parts & {"alerts", "web"}:
        asking = _questions(settings, history, live)
        made.tune(lambda now: now.query, asking.query.use)
        made.tune(lambda now: now.query, asking.resources.use)
        if "alerts" in parts:
            _add_alerts(made, settings, history, asking)
        if "web" in parts:
            from modelwatch.web import add_web

            add_web(made, settings, history, asking)
    if "web" not in parts:
        from modelwatch.own_report import add_health

        add_health(made, settings, made.read_figures, role)
    return made


def assemble_workers(settings: Settings, make_workers: Callable[[Settings, Counters], Any]) -> Assembly:
    """Return what a receiver of several processes consists of in the one that keeps the others. Raises `StartError`."""
    from modelwatch.own_report import add_health

    made = Assembly()
    _require_broker(settings)
    workers = make_workers(settings, made.counters)
    made.checks.update(workers.checks())
    # First, since it depends on nothing: a taken port is found before any worker is started, readiness can be asked
    # while they start, and at a stop the workers are told at once.
    add_health(made, settings, workers.figures, "receiver", "workers")
    _name_ports(made, settings, made.add(workers))
    return made


def assemble_worker(settings: Settings) -> Assembly:
    """Return what one of those others consists of; it shares its ports. Raises `StartError`."""
    made = Assembly()
    _add_receiver(made, settings, _add_exporter(made, settings), share_ports=True)
    return made


def _live_feed(settings: Settings, counters: Counters, parts: frozenset[Part]) -> LiveFeed:
    from storage.absent_live_feed import AbsentLiveFeed
    from storage.component import build_in_process_live_feed, build_redis_live_feed

    url = live_url_of(settings)
    if url is not None:
        return build_redis_live_feed(settings.storage, url, counters, is_mirrored="web" in parts)
    if _has_own_live_feed(settings, parts):
        return build_in_process_live_feed(settings.storage, counters)
    return AbsentLiveFeed()


def _has_own_live_feed(settings: Settings, parts: frozenset[Part]) -> bool:
    return settings.live_url is None and parts >= {"processor", "web"} and settings.broker_url is None


def _add_folder_lock(made: Assembly, settings: Settings) -> None:
    from storage.component import build_folder_lock

    scheme, url = history_url_of(settings)
    lock = build_folder_lock(url) if scheme != POSTGRES else None
    if lock is not None:
        made.add(lock)


def _add_processor(made: Assembly, settings: Settings, history: SqlHistory, live: LiveFeed) -> Consumer:
    from processor.component import build as build_intake
    from processor.progress import ProgressReport
    from processor.queue_depth import QueueDepth
    from processor.rabbit_source import RabbitSource
    from storage.component import build_attempts, build_ingest_progress, build_upkeep

    declare_series(made.counters, "processor")
    upkeep = made.add(build_upkeep(settings.storage, history, made.counters))
    made.tune(lambda now: now.storage, upkeep.use)
    made.checks["clock"] = upkeep.clock.check
    intake = made.add(build_intake(settings.processor, history, live, made.counters))
    made.tune(lambda now: now.processor, intake.use)
    report = made.add(ProgressReport(settings.processor, intake, build_ingest_progress(history)))
    made.counters.observe("processor_lag_s", lambda: report.lag_ms / 1e3)
    if settings.broker_url:
        url = broker_url_of(settings)
        declare_series(made.counters, "rabbit_source")
        attempts = build_attempts(history)
        source = made.add(RabbitSource(settings.rabbit_source, settings.rabbitmq, url, report, attempts, made.counters))
        made.add(QueueDepth(source.connection, settings.rabbit_source.depth_interval_s, made.counters))
        made.checks["rabbitmq_source"] = connected("the RabbitMQ source", lambda: source.is_connected)
        report.trouble = lambda: "" if source.is_connected else "a processor has no connection to RabbitMQ"
    consumer: Consumer = report
    return consumer


def _require_broker(settings: Settings) -> SecretStr:
    if settings.broker_url is None:
        raise StartError("the receiver needs RabbitMQ to hand its data to: set MODELWATCH_BROKER_URL=amqp://...")
    return broker_url_of(settings)


def _add_exporter(made: Assembly, settings: Settings) -> Consumer:
    from rabbit_exporter.component import build as build_exporter

    url = _require_broker(settings)
    declare_series(made.counters, "exporter")
    made_from = (settings.rabbit_exporter, settings.rabbitmq, url, made.counters, settings.data_dir)
    exporter = made.add(build_exporter(*made_from))
    made.checks["rabbitmq_exporter"] = exporter.check
    consumer: Consumer = exporter
    return consumer


def _add_receiver(made: Assembly, settings: Settings, consumer: Consumer, *, share_ports: bool = False) -> None:
    from otlp_receiver.component import build as build_receiver

    declare_series(made.counters, "receiver")
    receiver = build_receiver(
        _receiver_settings(settings),
        consumer,
        made.counters,
        settings.ingest_keys,
        share_ports=share_ports,
        ingest_keys_file=settings.ingest_keys_file,
    )
    _name_ports(made, settings, made.add(receiver))


def _add_containers(made: Assembly, settings: Settings, consumer: Consumer | None, history: SqlHistory | None) -> None:
    from modelwatch.containers import build_containers

    declare_series(made.counters, "containers")
    containers = made.add(build_containers(settings, made.counters, consumer, history))
    if consumer is None:
        made.checks["otlp_endpoint"] = containers.check


def _name_ports(made: Assembly, settings: Settings, receiver: Any) -> None:
    host = settings.receiver.host
    made.listeners["otlp_grpc"] = lambda: f"{host}:{receiver.grpc_port}"
    made.listeners["otlp_http"] = lambda: f"{host}:{receiver.http_port}"


def _receiver_settings(settings: Settings) -> ReceiverSettings:
    """Return the receiver's settings; with a broker it hands on nothing that would not fit into a message."""
    if settings.broker_url is None:
        return settings.receiver
    largest = min(settings.receiver.max_batch_bytes, settings.rabbit_exporter.max_message_bytes)
    return settings.receiver.model_copy(update={"max_batch_bytes": largest})


def _questions(settings: Settings, history: SqlHistory, live: LiveFeed) -> Asking:
    from alerting.reading import Asking
    from query import MetricQuery, Query, ResourceQuery

    query = Query(settings.query, history, live)
    return Asking(query, MetricQuery(settings.query, history), ResourceQuery(settings.query, query, history))


def _add_alerts(made: Assembly, settings: Settings, history: SqlHistory, asking: Asking) -> None:
    from alerting.channels.book import ChannelBook
    from alerting.channels.component import ChannelCheck, build_channels
    from alerting.channels.following import ChannelFollower
    from alerting.component import build as build_alerting
    from storage.component import build_alert_store, build_ingest_progress

    channels = build_channels(settings.alerts)
    made.add(ChannelCheck(channels))
    store, progress = build_alert_store(history), build_ingest_progress(history)
    told = alerting_settings_of(settings)
    book = ChannelBook(told, store.channels)
    follower = made.add(ChannelFollower(told, channels, book, settings.tuning.refresh_interval_s))
    alerting = made.add(
        build_alerting(told, store, progress, asking, channels, made.counters, renew_channels=follower.refresh)
    )
    follower.listen(alerting.use_channels)
    made.tune(alerting_settings_of, alerting.use)
    made.checks["alerts"] = alerting.check
