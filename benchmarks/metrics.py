"""How fast metrics become points on one core, beside a plain walk over the OTLP classes, and how fast they are asked.

All contenders take turns over the same bytes in one run, and the best of several rounds counts. The questions are those
of a page: the CPU and the memory of all containers of a service, minute by minute over the last hour, among five times
as many containers of others, reported every ten seconds and rolled up behind. Run by `make bench`, or alone as
`python -m benchmarks.metrics`.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from processor.component import build_metric_decoder
from processor.settings import ProcessorSettings
from query import Aggregation, MetricFilter, MetricQuery, QuerySettings
from storage.component import build_postgres_history, build_sqlite_history, build_upkeep
from storage.history import SqlHistory
from storage.settings import StorageSettings
from telemetry import Counters
from telemetry.metric_points import merge_metric_points
from tests.support import servers

NOW_S = 1_760_000_000 // 60 * 60
ROUNDS = 5
BATCHES = 20
CONTAINERS = 10
SERVICES = 6
HOUR_S = 3_600
INTERVAL_S = 10
CUMULATIVE = 2


def run() -> list[dict[str, Any]]:
    """Return points per second per core for two kinds of points, and milliseconds per question for each database."""
    return [*_decoding(), *asyncio.run(_asking())]


def _decoding() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for kind, make in (("numbers", _numbers), ("histograms", _histograms)):
        bodies = [_request(make(NOW_S + batch), f"service-{batch % 4}", "c") for batch in range(BATCHES)]
        points = sum(len(_walk([body])) for body in bodies)
        decoder = build_metric_decoder(ProcessorSettings())
        contenders: Mapping[str, Callable[[], object]] = {
            "parse generated classes": lambda bodies=bodies: [*map(ExportMetricsServiceRequest.FromString, bodies)],
            "walk generated classes": lambda bodies=bodies: _walk(bodies),
            "ours, decode and merge": lambda bodies=bodies, decoder=decoder: merge_metric_points(
                point for body in bodies for point in decoder.decode(body, latest_ns=2**62).points
            ),
        }
        best_s = dict.fromkeys(contenders, float("inf"))
        for _ in range(ROUNDS):
            for name, contend in contenders.items():
                started = time.perf_counter()
                contend()
                best_s[name] = min(best_s[name], time.perf_counter() - started)
        rows += [
            {"name": f"metrics, {kind}: {name}", "value": round(points / seconds), "unit": "points/s"}
            for name, seconds in best_s.items()
        ]
        ratio = best_s["walk generated classes"] / best_s["ours, decode and merge"]
        rows.append({"name": f"metrics, {kind}: ours / walk", "value": round(ratio, 2), "unit": "x"})
    return rows


async def _asking() -> list[dict[str, Any]]:
    settings = StorageSettings(rollup_grace_s=0, min_free_bytes=0)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        sqlite = build_sqlite_history(settings, f"sqlite:///{Path(folder) / 'history.db'}", now_ns=_now_ns)
        rows += await _ask("SQLite", sqlite, settings)
    try:
        server = servers.postgres_server()
    except servers.MissingServerError:
        return rows
    try:
        server.start()
        history = build_postgres_history(settings, server.fresh_database(), now_ns=_now_ns)
        rows += await _ask("PostgreSQL", history, settings)
    finally:
        server.remove()
    return rows


async def _ask(name: str, history: SqlHistory, settings: StorageSettings) -> list[dict[str, Any]]:
    await history.start()
    try:
        committed_s = await _fill(history)
        await build_upkeep(settings, history, Counters(), now_ns=_now_ns).roll_up()
        rows = [{"name": f"metrics, {name}: commit", "value": round(committed_s), "unit": "points/s"}]
        questions: Sequence[tuple[str, Aggregation]] = (
            ("container.cpu.time", "rate"),
            ("container.memory.usage", "avg"),
        )
        for metric, aggregation in questions:
            for step_s in (60, INTERVAL_S):
                spent_ms = await _spent_ms(history, metric, aggregation, step_s)
                question = f"{metric} of {CONTAINERS} containers, 1 h by {step_s} s"
                rows.append({"name": f"metrics, {name}: {question}", "value": round(spent_ms, 1), "unit": "ms"})
        return rows
    finally:
        await history.stop()


async def _fill(history: SqlHistory) -> float:
    """Commit an hour of all containers; return points per second."""
    decoder = build_metric_decoder(ProcessorSettings())
    number = count()
    points = 0
    spent_s = 0.0
    for second in range(NOW_S - HOUR_S - 300, NOW_S, INTERVAL_S):
        bodies = [
            _request(_container(second), f"service-{of % SERVICES}", f"c{of}") for of in range(CONTAINERS * SERVICES)
        ]
        metrics = [point for body in bodies for point in decoder.decode(body, latest_ns=2**62).points]
        points += len(metrics)
        started = time.perf_counter()
        await history.commit([next(number).to_bytes(16, "big")], [], metrics)
        spent_s += time.perf_counter() - started
    return points / spent_s


async def _spent_ms(history: SqlHistory, metric: str, aggregation: Aggregation, step_s: int) -> float:
    """Return the median of several answers."""
    spent = []
    query = MetricQuery(QuerySettings(history_cache_s=0), history, _now_ns)
    where = MetricFilter(metric, "service-1")
    for _ in range(11):
        started = time.perf_counter()
        answer = await query.metric(NOW_S - HOUR_S, NOW_S, step_s, where, ("container.name",), aggregation)
        spent.append(time.perf_counter() - started)
        known = [value for item in answer.items for value in item.values if value is not None]
        assert len(known) == CONTAINERS * HOUR_S // step_s
    return sorted(spent)[len(spent) // 2] * 1_000


def _now_ns() -> int:
    return (NOW_S + 3_600) * 10**9


def _request(metrics: Sequence[Metric], service: str, container: str) -> bytes:
    names = {"service.name": service, "container.name": container, "container.id": container * 8}
    of = ResourceMetrics(
        resource=Resource(attributes=_key_values(names)), scope_metrics=[ScopeMetrics(metrics=metrics)]
    )
    return ExportMetricsServiceRequest(resource_metrics=[of]).SerializeToString()


def _container(second: int) -> list[Metric]:
    """What a container reports: its CPU time by state, its memory, and eight totals of its network."""
    cpu = [_number(second, second / 7, state=state) for state in ("user", "system")]
    network = [_number(second, second * 100.0, device=f"eth{of}", direction=way) for of in range(4) for way in "io"]
    return [
        Metric(name="container.cpu.time", sum=Sum(data_points=cpu, aggregation_temporality=2, is_monotonic=True)),
        Metric(name="container.network.io", sum=Sum(data_points=network, aggregation_temporality=2, is_monotonic=True)),
        Metric(name="container.memory.usage", gauge=Gauge(data_points=[_number(second, 1e8 + second % 977)])),
    ]


def _numbers(second: int) -> list[Metric]:
    return [
        Metric(name=f"gauge.{of}", gauge=Gauge(data_points=[_number(second, of, cpu=str(cpu)) for cpu in range(16)]))
        for of in range(16)
    ] + [
        Metric(
            name=f"sum.{of}",
            sum=Sum(
                data_points=[_number(second, of, cpu=str(cpu)) for cpu in range(16)],
                aggregation_temporality=CUMULATIVE,
                is_monotonic=True,
            ),
        )
        for of in range(16)
    ]


def _histograms(second: int) -> list[Metric]:
    bounds = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0]
    points = [
        HistogramDataPoint(
            time_unix_nano=second * 10**9,
            start_time_unix_nano=NOW_S * 10**9 - 10**12,
            count=150,
            sum=15.0,
            bucket_counts=[10] * 15,
            explicit_bounds=bounds,
            attributes=_key_values({"http.route": f"/predict/{of}", "http.request.method": "POST"}),
        )
        for of in range(32)
    ]
    data = Histogram(data_points=points, aggregation_temporality=CUMULATIVE)
    return [Metric(name=f"http.server.request.duration.{of}", unit="s", histogram=data) for of in range(8)]


def _number(second: int, value: float, **attributes: str) -> NumberDataPoint:
    return NumberDataPoint(
        time_unix_nano=second * 10**9,
        start_time_unix_nano=NOW_S * 10**9 - 10**12,
        as_double=value,
        attributes=_key_values(attributes),
    )


def _key_values(attributes: Mapping[str, str]) -> list[KeyValue]:
    return [KeyValue(key=key, value=AnyValue(string_value=value)) for key, value in attributes.items()]


def _walk(bodies: Sequence[bytes]) -> list[tuple[Any, ...]]:
    """Group the same points by series and second the straightforward way, with the classes that protoc generates."""
    found: defaultdict[tuple[Any, ...], list[Any]] = defaultdict(list)
    for body in bodies:
        for of in ExportMetricsServiceRequest.FromString(body).resource_metrics:
            resource = _labels(of.resource.attributes)
            for scope in of.scope_metrics:
                for metric in scope.metrics:
                    kind = metric.WhichOneof("data")
                    for point in getattr(metric, kind).data_points:
                        series = (resource, scope.scope.name, metric.name, metric.unit, kind, _labels(point.attributes))
                        key = (*series, point.time_unix_nano // 10**9)
                        if kind == "histogram":
                            value: Any = (point.count, point.sum, tuple(point.bucket_counts))
                        else:
                            value = point.as_double if point.WhichOneof("value") == "as_double" else point.as_int
                        found[key].append((point.time_unix_nano, point.start_time_unix_nano, value))
    return [(key, min(values), max(values), len(values)) for key, values in found.items()]


def _labels(pairs: Any) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted((pair.key, getattr(pair.value, pair.value.WhichOneof("value"))) for pair in pairs))


if __name__ == "__main__":
    for row in run():
        print(f"{row['name']:<75} {row['value']:>12,} {row['unit']}")
