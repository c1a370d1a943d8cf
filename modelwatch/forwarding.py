"""Forwarding to other backends: the queues on disk or at RabbitMQ, and the derived metrics that go the same way.

Beside `assembly.py`, which asks for it in roles that forward.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from modelwatch import logs
from modelwatch.assembled import Assembly, build_history, connected
from modelwatch.settings import Settings
from modelwatch.urls import broker_url_of
from otlp_exporter.component import build_disk_feeds, build_rabbit_feeds, refuse_own_ports
from otlp_exporter.together import Together
from telemetry import Consumer

if TYPE_CHECKING:
    from storage.history import SqlHistory


def with_forwarding(made: Assembly, settings: Settings, history: SqlHistory | None, consumer: Consumer) -> Consumer:
    """Refuse to forward to the receiver itself; without a broker, put the queues on disk behind the consumer."""
    refuse_own_ports(settings.exporter, {settings.receiver.grpc_port, settings.receiver.http_port})
    if settings.broker_url:
        return consumer
    prepare = partial(logs.configure, settings.log)
    forwarding, running = build_disk_feeds(settings.exporter, consumer, made.counters, settings.data_dir, prepare)
    for one in running:
        made.add(one)
    _add_derived(made, settings, history, running[0])
    return forwarding


def add_forwarding(made: Assembly, settings: Settings, history: SqlHistory | None) -> None:
    """Add the queues at RabbitMQ; derived metrics are read from `history`, or from one of this process's own."""
    url = broker_url_of(settings)
    feeds = build_rabbit_feeds(settings.exporter, settings.rabbitmq, url, made.counters, settings.data_dir)
    made.add(Together(feeds))
    for feed in feeds:
        made.checks[f"forwarding_{feed.name}"] = connected(
            f"forwarding to {feed.name}", partial(getattr, feed, "is_connected")
        )
    _add_derived(made, settings, history or _history_of_derived(made, settings))


def _history_of_derived(made: Assembly, settings: Settings) -> SqlHistory | None:
    """Return the history for a process that has no other use for it, `None` where no target wants what is in it."""
    if not any(target.derived for target in settings.exporter.targets):
        return None
    history = build_history(settings)
    made.add(history)
    made.checks["history"] = history.check
    return history


def _add_derived(made: Assembly, settings: Settings, history: SqlHistory | None, queue: Any = None) -> None:
    """Add what exports derived metrics, to the queues on disk or at RabbitMQ."""
    if history is not None and any(target.derived for target in settings.exporter.targets):
        from modelwatch.derived import build_derived_exporters

        for one in build_derived_exporters(settings, history, made.counters, queue):
            made.add(one)
