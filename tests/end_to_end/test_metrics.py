"""OpenTelemetry's own metrics SDK against running systems: what was recorded is what is answered."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpExporter
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, MetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource

from tests.support.systems import System
from tests.support.waiting import eventually

DELTA = {Counter: AggregationTemporality.DELTA, Histogram: AggregationTemporality.DELTA}
DURATIONS = [0.02, 0.03, 0.4, 0.9]


def record(exporter: MetricExporter, service: str) -> None:
    """Record and export three times, as a watched service does."""
    # Never by itself: the test decides when it exports.
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)
    view = View(instrument_name="size", aggregation=ExponentialBucketHistogramAggregation())
    of = Resource({"service.name": service, "container.name": f"{service}-1"})
    provider = MeterProvider([reader], resource=of, views=[view], shutdown_on_exit=False)
    meter = provider.get_meter("tests")
    orders, queue = meter.create_counter("orders", "{order}"), meter.create_up_down_counter("queue")
    latency, size = meter.create_histogram("latency", "s"), meter.create_histogram("size", "By")
    load = meter.create_gauge("load")
    for number in range(3):
        orders.add(5, {"kind": "a"})
        orders.add(2, {"kind": "b"})
        queue.add(1)
        load.set(number)
        for duration_s in DURATIONS:
            latency.record(duration_s)
            size.record(duration_s * 1_000)
        assert provider.force_flush()
    provider.shutdown()


async def ask(system: System, name: str, aggregation: str, group_by: str) -> dict[str, float]:
    """Return the latest value of each group; of increases, their sum."""
    parameters = {"name": name, "aggregation": aggregation, "group_by": group_by, "step": "10s"}
    async with httpx.AsyncClient() as client:
        response = await client.get(f"{system.url}/api/v1/metrics", params=parameters, timeout=20)
        response.raise_for_status()
    found: dict[str, float] = {}
    for item in response.json()["items"]:
        values = [point["value"] for point in item["points"] if point["value"] is not None]
        found[item["labels"][group_by]] = sum(values) if aggregation in ("increase", "sum") else values[-1]
    return found


async def test_what_an_sdk_records_is_what_is_answered(system: System) -> None:
    """Totals over gRPC and deltas over HTTP, in both sizes, to the last observation."""
    over_grpc = GrpcExporter(f"http://127.0.0.1:{system.grpc_port}", insecure=True)
    over_http = HttpExporter(f"http://127.0.0.1:{system.http_port}/v1/metrics", preferred_temporality=DELTA)
    await asyncio.to_thread(record, over_grpc, "totals")
    await asyncio.to_thread(record, over_http, "deltas")

    async def is_all_there() -> bool:
        return await ask(system, "orders", "increase", "service") == {"totals": 21, "deltas": 21}

    # Distributed, an answer means that RabbitMQ has it.
    await eventually(is_all_there)
    assert await ask(system, "orders", "increase", "kind") == {"a": 30, "b": 12}
    assert await ask(system, "queue", "last", "container.name") == {"totals-1": 3, "deltas-1": 3}
    assert await ask(system, "load", "last", "instance") == {"": 2}
    for name, scale in (("latency", 1), ("size", 1_000)):
        assert await ask(system, name, "increase", "service") == {"totals": 12, "deltas": 12}
        assert await ask(system, name, "sum", "service") == pytest.approx(
            dict.fromkeys(("totals", "deltas"), 3 * sum(DURATIONS) * scale)
        )
        for of, median in (await ask(system, name, "p50", "service")).items():
            assert min(DURATIONS) * scale <= median <= max(DURATIONS) * scale, (name, of)
