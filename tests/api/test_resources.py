"""OTLP in, resources out: spans and metrics through the real processor into real stores, asked over the API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE,
    Gauge,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)

from api.component import build as build_api
from api.settings import ApiSettings
from processor.component import build as build_intake
from processor.intake import Intake
from processor.settings import ProcessorSettings
from query import MetricQuery, Query, QuerySettings, ResourceQuery
from storage.component import build_in_process_live_feed, build_postgres_history, build_sqlite_history, build_upkeep
from storage.history import SqlHistory
from storage.settings import StorageSettings
from telemetry import Batch, Counters, Signal
from tests.support import json_schema
from tests.support.doubles import ManualClock
from tests.support.otlp import key_values, resource, server_span, trace_request

NOW_S = 1_760_004_000
NS_PER_S = 10**9
MINUTES = 8
BOX = "4f1c07be2d5a" + "0" * 52
IDLE_BOX = "aaaaaaaaaaaa" + "0" * 52
SCOPE = "modelwatch.container_stats"


@dataclass
class Chain:
    """Everything between OTLP and the API but the sockets."""

    history: SqlHistory
    intake: Intake
    clock: ManualClock
    settings: StorageSettings
    api: httpx.AsyncClient

    async def spans(self, of: Any, ends_s: range) -> None:
        spans = [server_span(end_ns=second * NS_PER_S, index=second) for second in ends_s]
        body = trace_request(spans, of).SerializeToString()
        await self.intake.consume(Batch.of(Signal.TRACES, body, item_count=len(spans), received_unix_nano=0))

    async def metrics(self, of: dict[str, Any], *metrics: Metric) -> None:
        scope = ScopeMetrics(scope=InstrumentationScope(name=SCOPE), metrics=metrics)
        request = ExportMetricsServiceRequest(
            resource_metrics=[ResourceMetrics(resource=resource(None, **of), scope_metrics=[scope])]
        )
        body = request.SerializeToString()
        await self.intake.consume(Batch.of(Signal.METRICS, body, item_count=len(metrics), received_unix_nano=0))

    async def get(self, path: str, **parameters: Any) -> dict[str, Any]:
        answer = await self.api.get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        document = (await self.api.get("/openapi.json")).json()
        schema = document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        json_schema.check(answer.json(), schema, document)
        found: dict[str, Any] = answer.json()
        return found


@pytest.fixture(params=["sqlite", "postgres"])
async def chain(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Chain]:
    clock = ManualClock(NOW_S)
    settings = StorageSettings(min_free_bytes=0)
    if request.param == "sqlite":
        history = build_sqlite_history(settings, f"sqlite:///{tmp_path / 'history.db'}", now_ns=clock)
    else:
        history = build_postgres_history(settings, request.getfixturevalue("postgres").fresh_database(), now_ns=clock)
    await history.start()
    counters = Counters()
    live = build_in_process_live_feed(settings, counters, now_ns=clock)
    intake = build_intake(ProcessorSettings(commit_interval_s=0.01), history, live, counters, clock)
    await intake.start()
    chosen = QuerySettings(history_cache_s=0)
    query = Query(chosen, history, live, clock)
    questions = query, MetricQuery(chosen, history, clock), ResourceQuery(chosen, query, history, clock)
    app = build_api(ApiSettings(), *questions, counters, {}, clock)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://modelwatch.test") as client:
        yield Chain(history, intake, clock, settings, client)
    await intake.stop()
    await history.stop()


def times() -> Iterator[int]:
    return iter(range(NOW_S - 60 * MINUTES, NOW_S, 10))


def number(second: int, value: float, **labels: str) -> NumberDataPoint:
    attributes = {name.replace("__", "."): text for name, text in labels.items()}
    return NumberDataPoint(time_unix_nano=second * NS_PER_S, as_double=value, attributes=key_values(attributes))


def gauge(name: str, value: float, **labels: str) -> Metric:
    return Metric(name=name, gauge=Gauge(data_points=[number(second, value, **labels) for second in times()]))


def total(name: str, per_s: float, **labels: str) -> Metric:
    points = [number(second, per_s * (second - NOW_S + 10_000), **labels) for second in times()]
    temporality = AGGREGATION_TEMPORALITY_CUMULATIVE
    return Metric(name=name, sum=Sum(data_points=points, aggregation_temporality=temporality, is_monotonic=True))


def box_metrics(cores: float, memory_bytes: float) -> list[Metric]:
    return [
        total("container.cpu.time", cores),
        gauge("container.cpu.limit", 2),
        total("container.cpu.throttling_data.periods", 10),
        total("container.cpu.throttling_data.throttled_periods", 3 if cores > 1 else 0),
        gauge("container.memory.working_set", memory_bytes),
        gauge("container.memory.usage.limit", 1e9),
        gauge("container.memory.available", 1e9 - memory_bytes),
        total("container.network.io", 1_000, network__io__direction="receive"),
        gauge("container.state", 1, container__state="running"),
    ]


async def fill(chain: Chain) -> None:
    """A service in a container short of CPU, one in a process, and a container that is nobody's."""
    shop = resource("shop", service__instance__id="a1", container__id=BOX[:12], telemetry__sdk__language="python")
    own = {"host__name": "node-1", "process__pid": 41}
    cart = resource("cart", service__version="2", telemetry__sdk__language="go", **own)
    await chain.spans(shop, range(NOW_S - 300, NOW_S))
    await chain.spans(cart, range(NOW_S - 30, NOW_S))
    await chain.metrics(
        {"container__id": BOX, "container__name": "shop-1", "host__name": "node-1", "container__image__name": "shop"},
        *box_metrics(1.9, 4e8),
    )
    await chain.metrics(
        {"container__id": IDLE_BOX, "container__name": "nobody", "host__name": "node-1"}, *box_metrics(0.01, 1e8)
    )
    await chain.metrics(
        {**own, "process__executable__name": "cart"},
        total("process.cpu.time", 0.25, cpu__mode="user"),
        total("process.cpu.time", 0.25, cpu__mode="system"),
        gauge("process.cpu.limit", 4),
        gauge("process.memory.usage", 5e8),
        gauge("process.memory.limit", 8e9),
    )


async def test_resources_are_answered_with_whose_they_are(chain: Chain) -> None:
    """The figures that were sent, each with its owner, by what that is known."""
    await fill(chain)
    found = await chain.get("/api/v1/resources", window="5m", step="10s", end=NOW_S)
    items = {item["name"]: item for item in found["items"]}
    assert {name: (item["service"], item["matched_by"]) for name, item in items.items()} == {
        "shop-1": ("shop", "container.id"),
        "nobody": ("", ""),
        "cart 41": ("cart", "process.pid"),
    }
    shop, cart = items["shop-1"], items["cart 41"]
    assert (shop["state"], shop["reported_state"], shop["instance"]) == ("live", "running", "a1")
    assert shop["now"]["cpu_cores"] == pytest.approx(1.9)
    assert shop["mean"]["cpu_share"] == pytest.approx(0.95)
    assert shop["now"]["throttled_share"] == pytest.approx(0.3)
    assert shop["now"]["memory_share"] == pytest.approx(0.4)
    assert shop["now"]["network_receive_bytes_per_s"] == pytest.approx(1_000)
    assert shop["now"]["disk_read_bytes_per_s"] is None
    assert cart["mean"]["cpu_cores"] == pytest.approx(0.5)
    assert len(shop["points"]) == 30
    assert all(point["cpu_cores"] == pytest.approx(1.9) for point in shop["points"])


async def test_verdicts_are_answered_and_are_problems_of_the_service(chain: Chain) -> None:
    """With their evidence; what is known of a service without resources is that there is not enough."""
    await fill(chain)
    await chain.spans(resource("bare"), range(NOW_S - 5, NOW_S))
    judged = {item["service"]: item["verdicts"] for item in (await chain.get("/api/v1/resources"))["services"]}
    assert [verdict["kind"] for verdict in judged["shop"]] == ["throttled", "cpu_bound"]
    assert judged["shop"][0]["evidence"].startswith("shop-1 used up its CPU quota of 2 cores in 30 %")
    assert [verdict["kind"] for verdict in judged["cart"]] == ["unremarkable"]
    assert [verdict["kind"] for verdict in judged["bare"]] == ["not_enough_data"]
    services = {item["service"]: item for item in (await chain.get("/api/v1/services"))["items"]}
    assert services["shop"]["status"] == "critical"
    assert {problem["kind"] for problem in services["shop"]["problems"]} == {"resource_bottleneck"}
    assert services["cart"]["problems"] == []
    past = await chain.get("/api/v1/services", end=NOW_S - 100)
    assert not any(item["problems"] for item in past["items"])


async def test_a_service_has_its_resources_beside_its_traffic(chain: Chain) -> None:
    """In the same steps: one request a second on 1.9 cores is half a request for each second of CPU."""
    await fill(chain)
    found = await chain.get("/api/v1/resources", service="shop", window="2m", step="10s", end=NOW_S)
    assert [item["name"] for item in found["items"]] == ["shop-1"]
    assert [item["service"] for item in found["services"]] == ["shop"]
    points = found["traffic"]["points"]
    assert [point["calls"] for point in points] == [10] * 12
    assert all(point["calls_per_cpu_s"] == pytest.approx(1 / 1.9) for point in points[:-1])
    assert points[-1]["calls_per_cpu_s"] is None, "some of its calls may still come"
    assert found["traffic"]["calls_per_cpu_s"] == pytest.approx(1 / 1.9)
    assert all(point["largest_memory_share"] == pytest.approx(0.4) for point in points)
    assert all(point["p99_s"] == pytest.approx(0.05, rel=0.02) for point in points)
    assert found["traffic"]["memory_left_s"] is None


async def test_groups_add_up_what_can_be_added(chain: Chain) -> None:
    """Limits that are one's own are added; the CPUs of a host would count once."""
    await fill(chain)
    groups = (await chain.get("/api/v1/resources", group_by="host", end=NOW_S))["groups"]
    assert [(group["name"], group["resource_count"], group["live_count"]) for group in groups] == [("node-1", 3, 3)]
    (host,) = groups
    assert host["mean"]["cpu_cores"] == pytest.approx(1.9 + 0.01 + 0.5)
    assert host["mean"]["cpu_limit_cores"] == pytest.approx(2 + 2 + 4)
    images = await chain.get("/api/v1/resources", group_by="image", end=NOW_S)
    assert [group["name"] for group in images["groups"]] == ["", "shop"]


async def test_instances_are_answered(chain: Chain) -> None:
    """As the resources of the spans name them, of all services or of one."""
    await fill(chain)
    items = (await chain.get("/api/v1/instances"))["items"]
    assert sorted((item["service"], item["instance"], item["version"]) for item in items) == [
        ("cart", "node-1:41", "2"),
        ("shop", "a1", ""),
    ]
    (cart,) = (await chain.get("/api/v1/instances", service="cart"))["items"]
    assert (cart["host"], cart["pid"], cart["sdk_language"]) == ("node-1", "41", "go")
    assert (await chain.get("/api/v1/instances", service="none"))["items"] == []


async def test_what_is_not_measured_any_more_is_stale_or_stopped(chain: Chain) -> None:
    """Stopped where others of its host go on, stale where nothing does."""
    await fill(chain)
    chain.clock.advance(120)
    asked = {"window": "10m", "end": NOW_S + 120}
    states = {item["name"]: item["state"] for item in (await chain.get("/api/v1/resources", **asked))["items"]}
    assert states == {"shop-1": "stale", "nobody": "stale", "cart 41": "stale"}
    await chain.metrics(
        {"container__id": IDLE_BOX, "container__name": "nobody", "host__name": "node-1"},
        Metric(name="container.memory.working_set", gauge=Gauge(data_points=[number(NOW_S + 115, 1e8)])),
    )
    found = {item["name"]: item for item in (await chain.get("/api/v1/resources", **asked))["items"]}
    assert {name: item["state"] for name, item in found.items()} == {
        "shop-1": "stopped",
        "nobody": "live",
        "cart 41": "stale",
    }
    assert found["shop-1"]["now"]["cpu_cores"] is None
    assert found["shop-1"]["mean"]["cpu_cores"] == pytest.approx(1.9)


async def test_answers_hold_when_points_are_rolled_up(chain: Chain) -> None:
    """Minutes are made of the same readings and totals as the tens of seconds."""
    await fill(chain)
    asked = {"window": "5m", "step": "1m", "end": NOW_S}
    before = (await chain.get("/api/v1/resources", **asked))["items"]
    chain.clock.advance(100)
    upkeep = build_upkeep(chain.settings, chain.history, Counters(), now_ns=chain.clock)
    assert await upkeep.roll_up()
    after = (await chain.get("/api/v1/resources", **asked))["items"]
    assert [item["points"] for item in after] == [
        [
            {name: pytest.approx(value) if isinstance(value, float) else value for name, value in point.items()}
            for point in item["points"]
        ]
        for item in before
    ]


async def test_many_who_ask_share_an_answer(chain: Chain) -> None:
    """And are refused what would be too large, naming the parameter."""
    await fill(chain)
    answers = await asyncio.gather(*(chain.get("/api/v1/resources", end=NOW_S) for _ in range(10)))
    assert all(answer == answers[0] for answer in answers)
    for parameters, name in (
        ({"step": "1s", "window": "7d"}, "step"),
        ({"group_by": "colour"}, "group_by"),
        ({"window": "0s"}, "end"),
        ({"nonsense": "1"}, "nonsense"),
    ):
        refused = await chain.api.get("/api/v1/resources", params=parameters)
        assert refused.status_code == 422, refused.text
        assert [error["parameter"] for error in refused.json()["errors"]] == [name]
