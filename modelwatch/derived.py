"""What exports derived metrics, connected with the history, the alerts and the queues of the targets.

Beside `assembly.py`, which asks for it where a target wants derived metrics.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from alerting.alerts import alert_of
from alerting.states import OPEN
from modelwatch.settings import Settings
from modelwatch.urls import broker_url_of
from otlp_exporter.derived.component import DerivedExporter, DerivedSources, ReadAlerts
from otlp_exporter.derived.request import OpenAlert
from otlp_exporter.derived.to_rabbit import QueuePublisher
from otlp_exporter.disk_queue import DiskQueue
from query import Query
from storage.absent_live_feed import AbsentLiveFeed
from storage.alert_store import AlertStore
from storage.component import build_alert_store, build_export_ledger
from storage.history import SqlHistory
from telemetry import Batch, Component, Counters


def build_derived_exporters(
    settings: Settings, history: SqlHistory, counters: Counters, queue: DiskQueue | None
) -> list[Component]:
    """Return one for each target that wants it, and before them the way to RabbitMQ if there is no queue on disk."""
    # From the history alone: a live window may have what is not committed, or miss what is.
    query = Query(settings.query, history, AbsentLiveFeed())
    sources = DerivedSources(query, alerts_of(build_alert_store(history)), partial(build_export_ledger, history))
    publisher = None if queue else QueuePublisher(broker_url_of(settings), settings.rabbitmq)

    async def hand_over(target: str, batch: Batch) -> None:
        if queue is not None:
            await queue.offer(batch, (target,))
        elif publisher is not None:
            await publisher.hand_over(target, batch)

    exporters = [
        DerivedExporter(target, target.derived, sources, partial(hand_over, target.name), counters)
        for target in settings.exporter.targets
        if target.derived is not None
    ]
    return [*([publisher] if publisher else []), *exporters]


def alerts_of(store: AlertStore) -> ReadAlerts:
    """Return what reads the alerts that are pending, firing or without data, as attributes of a gauge."""

    async def read() -> Sequence[OpenAlert]:
        found = [alert_of(row) for row in await store.rounds.states([phase.value for phase in OPEN])]
        return [
            OpenAlert(
                alert.labels.get("service", ""),
                (
                    ("modelwatch.alert.rule", alert.rule_id),
                    ("modelwatch.alert.phase", alert.state.phase.value),
                    ("modelwatch.alert.severity", str(alert.state.severity or "")),
                    *((f"modelwatch.alert.label.{name}", value) for name, value in sorted(alert.labels.items())),
                ),
            )
            for alert in found
        ]

    return read
