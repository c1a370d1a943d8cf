"""An end that nobody asked for: the exporter killed; and what is derived by an exporter of its own."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from rabbitmq import ConfirmedPublisher, RabbitSettings, message_of
from storage.component import build_sqlite_history
from storage.settings import StorageSettings
from telemetry import SeriesKey
from telemetry.queues import EXCHANGE, EXPORT_QUEUE_PREFIX
from tests.otlp_exporter.conftest import LIMITS, RabbitCarrier
from tests.otlp_exporter.test_forwarding import numbered
from tests.support.calls import point
from tests.support.otlp_target import GrpcTarget
from tests.support.ports import free_port
from tests.support.processes import start_role
from tests.support.rabbit import QUICK, RabbitView
from tests.support.waiting import eventually


def calls_in(body: bytes) -> int:
    """Return how many calls of services a request of derived metrics tells of."""
    request = ExportMetricsServiceRequest.FromString(body)
    return sum(
        one.as_int
        for resource in request.resource_metrics
        for metric in resource.scope_metrics[0].metrics
        if metric.name == "traces.span.metrics.calls"
        for one in metric.sum.data_points
    )


async def test_a_killed_exporter_goes_on_where_it_was(rabbitmq: Any, tmp_path: Path) -> None:
    """`modelwatch exporter`, SIGKILL amid sending: all batches arrive, and of derived metrics each call counts once."""
    view = RabbitView(rabbitmq.url)
    view.clear()
    history = build_sqlite_history(StorageSettings(), f"sqlite:///{tmp_path / 'modelwatch.db'}")
    await history.start()
    publisher = ConfirmedPublisher(view.url, QUICK, LIMITS, name="tests")
    async with GrpcTarget() as target, GrpcTarget() as metrics:
        target.delay_s = 0.05
        health_port = free_port()
        targets = [
            {"name": "all", "endpoint": f"http://localhost:{target.port}", "max_concurrent": 2},
            {
                "name": "derived",
                "endpoint": f"http://localhost:{metrics.port}",
                "signals": [],
                "derived": {"metrics": ["spans"], "temporality": "delta", "interval_s": 5},
            },
        ]
        environment = {
            "MODELWATCH_EXPORTER__TARGETS": json.dumps(targets),
            "MODELWATCH_BROKER_URL": view.url.get_secret_value(),
            "MODELWATCH_DATA_DIR": str(tmp_path),
            "MODELWATCH_HEALTH__PORT": str(health_port),
        }
        start = (environment, tmp_path / "exporter.log", health_port)
        now_s = int(time.time())
        await history.commit([b"1" * 16], [point(SeriesKey("shop"), now_s, [0.1] * 3)])
        running = await start_role("exporter", *start)
        try:
            await publisher.start()
            sent = numbered(60)
            for batch in sent:
                await publisher.publish(EXCHANGE, message_of(batch))
            await eventually(lambda: len(target.bodies) >= 10 and len(metrics.bodies) >= 1, timeout_s=40)
            running.kill()
            assert len(set(target.bodies)) < len(sent)
            await history.commit([b"2" * 16], [point(SeriesKey("shop"), now_s, [0.1] * 4)])
            running = await start_role("exporter", *start)
            await eventually(lambda: set(target.bodies) == {batch.body for batch in sent}, timeout_s=40)
            # The lease of the dead one has to stand still first.
            await eventually(lambda: sum(map(calls_in, set(metrics.bodies))) >= 7, timeout_s=60)
            assert running.stop() == 0
        finally:
            running.kill()
            await publisher.stop()
            await history.stop()
            for name in ("all", "derived"):
                view.delete_queue(EXPORT_QUEUE_PREFIX + name)
        assert sum(map(calls_in, set(metrics.bodies))) == 7


async def test_a_killed_broker_costs_nothing(rabbitmq: Any, tmp_path: Path) -> None:
    """RabbitMQ dies right after a target's queue was made: the batches in it arrive, and so do those that follow."""
    view = RabbitView(rabbitmq.url)
    view.clear()
    carrier = RabbitCarrier(tmp_path, view, RabbitSettings())
    port = free_port()
    before, after = numbered(40)[:20], numbered(40)[20:]
    try:
        await carrier.start({"name": "risen", "endpoint": f"http://localhost:{port}"})
        for batch in before:
            await carrier.offer(batch)
        await asyncio.to_thread(rabbitmq.kill)
        await asyncio.to_thread(rabbitmq.start)
        await carrier.publisher.stop()
        for batch in after:
            await carrier.offer(batch)
        async with GrpcTarget(port) as target:
            await eventually(lambda: set(target.bodies) == {batch.body for batch in (*before, *after)}, timeout_s=60)
            await carrier.stop()
    finally:
        await carrier.close()
